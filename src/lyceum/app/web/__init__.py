"""Pages for people: windows on the same answerer, traces and jobs that HTTP and the command line use."""

from lyceum.app.web import ask, evaluate, feedback, login, operate, runs, source, static, welcome

ROUTERS = (
    ask.router, evaluate.router, feedback.router, login.router, operate.router, runs.router, source.router,
    static.router, welcome.router,
)  # fmt: skip
