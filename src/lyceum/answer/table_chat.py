"""A question and a sheet to SQL by a chat model; what it writes runs under the limits of `table_sql`."""

from __future__ import annotations

import re

from lyceum.answer.table_sheet import Sheet
from lyceum.answer.table_sql import Result, run
from lyceum.core.errors import InvalidInput
from lyceum.core.protocols import Chat
from lyceum.core.replies import replied
from lyceum.core.types import Message

TRIES, SHOWN, WIDTH = 2, 5, 60
ASK = """Answer the question with one SQLite SELECT over the table t, or write NONE when t cannot answer it.
Columns: row (1 is the first row){columns}.
c is a cell's text, v its number, date (as a year with a fraction) or time (as seconds). holds(c, 'words') says that
a cell holds these words. Allowed are SELECT and count, sum, avg, min, max, abs, round, lower, substr, instr, replace.
Write the SQL alone.

First rows:
{rows}

Question: {question}"""
_block = re.compile(r"```(?:sql)?\s*(.+?)```", re.S | re.I)


async def computed(chat: Chat, question: str, sheet: Sheet, seconds: float) -> tuple[str, Result] | None:
    """Return the model's SQL with its result, None when it says that the table cannot answer.

    A query that is refused is asked for once more, with the reason. Raises InvalidInput after that, Timeout when
    the model is slow, and whatever the chat raises.
    """
    messages = [Message(role="user", content=_asked(question, sheet))]
    problem: InvalidInput | None = None
    for _ in range(TRIES):
        said = await replied(chat, messages, seconds)
        block = _block.search(said)
        sql = (block[1] if block else said).strip().rstrip(";").strip()
        if sql.upper().startswith("NONE"):
            return None
        try:
            result = run(sheet, sql)
            if result.rows:
                return sql, result
            problem = InvalidInput("No row can be cited.", hint="Select from t directly.", code="sql")
        except InvalidInput as refused:
            problem = refused
        messages += [Message(role="assistant", content=said), Message(role="user", content=problem.message)]
    assert problem is not None
    raise problem


def _asked(question: str, sheet: Sheet) -> str:
    columns = "".join(f'; c{n} and v{n}: "{name}"' for n, name in enumerate(sheet.columns, start=1))
    rows = "\n".join(
        " | ".join([str(n), *(cell[:WIDTH] for cell in line.cells)])
        for n, line in enumerate(sheet.lines[:SHOWN], start=1)
    )
    return ASK.format(columns=columns, rows=f"{sheet.title}\n{rows}", question=question)
