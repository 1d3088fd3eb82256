"""The HTML part of every mail: one card, light or dark as the reader's device is. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from string import Template

# Mail programs that drop <style> show the light colours of the attributes.
PAGE = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<title>$heading</title>
<style>
@media (prefers-color-scheme: dark) {
  .page { background: #18181b !important; color: #f4f4f5 !important; }
  .card { background: #27272a !important; }
  .small { color: #b4b4bb !important; }
  .small a { color: #93b4fd !important; }
}
</style>
</head>
<body class="page" style="margin:0;padding:24px 12px;background:#f4f4f5;color:#18181b;\
font:16px/1.5 system-ui,-apple-system,'Segoe UI',sans-serif">
<div class="card" role="main" style="max-width:480px;margin:0 auto;padding:24px;background:#ffffff;\
border-radius:12px;overflow-wrap:anywhere">
<h1 style="margin:0 0 16px;font-size:20px;line-height:1.3">$heading</h1>
<p style="margin:0 0 20px">$text</p>
$button$small</div>
</body>
</html>
""")
BUTTON = Template("""\
<p style="margin:0 0 20px"><a href="$address" style="display:inline-block;padding:12px 20px;\
background:#1d4ed8;color:#ffffff;border-radius:8px;text-decoration:none;font-weight:600">$words</a></p>
""")
SMALL = Template("""\
<p class="small" style="margin:0 0 8px;font-size:14px;color:#52525b">$words</p>
""")


def mail_page(
    heading: str, text: str, *, button: tuple[str, str] | None = None, small: Sequence[str] = ()
) -> str:
    """A whole HTML document; ``button`` is its words and its address. Nothing given is markup."""
    made = BUTTON.substitute(words=escape(button[0]), address=escape(button[1])) if button else ""
    lines = "".join(SMALL.substitute(words=escape(words)) for words in small)
    return PAGE.substitute(heading=escape(heading), text=escape(text), button=made, small=lines)


def moment(at: str) -> str:
    """``at`` (RFC 3339, in UTC) as mails show it."""
    return f"{at[:10]} {at[11:16]} UTC"
