"""Pages for people: windows on the same answerer, traces and jobs that HTTP and the command line use."""

from lyceum.app.web import ask, documents, feedback, login, source, static, welcome, xray

ROUTERS = (
    ask.router, documents.router, feedback.router, login.router, source.router, static.router, welcome.router,
    xray.router,
)  # fmt: skip
