"""Pages for people: windows on the same answerer, traces and jobs that HTTP and the command line use."""

from lyceum.app.web import (
    ask,
    documents,
    evaluate,
    feedback,
    login,
    operate,
    runs,
    setup,
    source,
    static,
    welcome,
    xray,
)  # fmt: skip

ROUTERS = (
    ask.router, documents.router, evaluate.router, feedback.router, login.router, operate.router, runs.router,
    setup.router, source.router, static.router, welcome.router, xray.router,
)  # fmt: skip
