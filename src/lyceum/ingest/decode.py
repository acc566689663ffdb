"""Bytes of a text file to characters: UTF-8 and UTF-16 by their marks, GB18030 where it reads as Chinese. Pure."""

from __future__ import annotations

import re

from charset_normalizer import from_bytes

# The characters that fill most Chinese pages; text decoded wrongly as GB18030 holds hardly any of them.
COMMON = frozenset(
    "的一是不了在人有我他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可里后小么心多天而能好都然没日于起还发成事只作当想看文无开手十用主行方又如前所本见经头面公同三已老从动两长知民样现分将外但身些与高意进把法此实回二理美点月明其种声全工己话儿者向情部正名定女问力机给等几很业最间新什打便位因重被走电四第门相次东政海口使教西再平真听世气信北少关并内加化由却代军产入先山五太水万市"
)


def decode(data: bytes) -> str:
    """Return the text of the bytes; what no encoding explains becomes replacement characters."""
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    try:
        text = data.decode("gb18030")
    except UnicodeDecodeError:
        text = ""
    han = re.findall("[\u4e00-\u9fff]", text)
    if han and sum(one in COMMON for one in han) > len(han) * 0.2:
        return text
    best = from_bytes(data).best()
    return str(best) if best is not None else data.decode("utf-8", "replace")
