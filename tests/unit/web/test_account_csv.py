"""CSV files of accounts: what spreadsheets and our own export make of them, and what is refused."""

from __future__ import annotations

import pytest
from marshmallow import ValidationError

from dmstats.core.errors import BadRequest
from dmstats.web.schema.account_csv import MAX_LINES, AccountsFile, read_accounts
from dmstats.web.schema.account_edit_schemas import AccountPatch

ID = "17841400000000001"


def read(text: str) -> AccountsFile:
    return read_accounts(text.encode())


def test_it_works() -> None:
    file = read(f"instagramId,username,monthlyDmLimit,isActive\n{ID}, @Lumen ,500,no\n2,,0,\n")
    first, second = file.lines
    assert (first.number, first.account) == (2, ID)
    assert first.fields == {"username": "lumen", "monthlyDmLimit": 500, "isActive": False}
    assert second.fields == {"monthlyDmLimit": 0}
    assert file.errors == {}


@pytest.mark.parametrize(
    "text",
    [
        f'\ufeffinstagramId,dmUsed,monthlyDmLimit\r\n"=""{ID}""",3,7\r\n',  # our own export
        f"instagramId;monthlyDmLimit\r\n{ID};7\r\n;\r\n\r\n",
        f"INSTAGRAMID\tMonthlyDmLimit\n{ID}\t7",
        f'monthlyDmLimit,instagramId,note\n7,{ID},"two\nlines"\n',
    ],
    ids=["export", "semicolons", "tabs", "quoted"],
)
def test_what_spreadsheets_write(text: str) -> None:
    (line,) = read(text).lines
    assert (line.account, line.fields) == (ID, {"monthlyDmLimit": 7})


@pytest.mark.parametrize("separator", ["\u2028", "\x85", "\f", "\x1e"])
def test_only_ends_of_lines_end_a_line(separator: str) -> None:
    file = read(f"instagramId,note,monthlyDmLimit\r{ID},a{separator}b,7\r2,,8")
    assert [each.fields for each in file.lines] == [{"monthlyDmLimit": 7}, {"monthlyDmLimit": 8}]


def test_a_guarded_text_is_the_text() -> None:
    assert read("instagramId,username\n1,'@lumen\n").lines[0].fields == {"username": "lumen"}


@pytest.mark.parametrize("name", ["x=1", "a b", "x\u00a0y", "\uff1d1+1", "caf\u00e9", "x" * 101])
def test_names_are_instagrams(name: str) -> None:
    file = read(f"instagramId,username\n1,x{name}\n2,a.b_3\n")
    assert [line.fields for line in file.lines] == [{"username": "a.b_3"}]
    assert "an empty cell keeps the name" in file.errors[2]


@pytest.mark.parametrize("name", ["x;=HYPERLINK(A1);", "\uff1d1+1", "=1", "a b", "caf\u00e9"])
def test_the_api_takes_instagrams_names_only(name: str) -> None:
    with pytest.raises(ValidationError, match="the letters a to z"):
        AccountPatch().load({"username": name})
    assert AccountPatch().load({"username": "@Lumen.7_"}) == {"username": "lumen.7_"}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("1.78414E+16,1,yes", "shortened"),
        ("1,78414E+16;1;yes", "shortened"),
        (",5,yes", "instagramId is empty"),
        ("5,-1,yes", "monthlyDmLimit"),
        ("5,1.5,yes", "monthlyDmLimit"),
        ("5,1000000001,yes", "monthlyDmLimit"),
        ("5,9,maybe", "isActive"),
        ("1,9,yes", "already in line 2"),
        ("x" * 201 + ",9,yes", "not an id"),
    ],
)
def test_a_bad_line_costs_no_other(line: str, problem: str) -> None:
    separator = ";" if ";" in line else ","
    head = separator.join(("instagramId", "monthlyDmLimit", "isActive"))
    good = separator.join(("1", "9", "true")), separator.join(("3", "9", "true"))
    file = read("\n".join((head, good[0], line, good[1])))
    assert [each.account for each in file.lines] == ["1", "3"]
    assert file.errors.keys() == {3}
    assert problem in file.errors[3]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "header must contain"),
        (b"instagramId\n1\n", "header must contain"),
        (b"username,monthlyDmLimit\nx,1\n", "header must contain"),
        (b"instagramId,username,USERNAME\n1,x,y\n", "twice"),
        ("instagramId,username\n1,ü\n".encode("latin-1"), "UTF-8"),
        (b'instagramId,username\n1,"x\n', "line 2"),
        (b"instagramId,isActive\n" + b"".join(b"%d,no\n" % n for n in range(MAX_LINES + 1)),
         "split it"),
    ],
)  # fmt: skip
def test_a_file_that_is_none(content: bytes, problem: str) -> None:
    with pytest.raises(BadRequest, match=problem):
        read_accounts(content)
