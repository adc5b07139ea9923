"""TOML files of the user's: where a fault stands."""

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from bayling_eval import toml_files
from bayling_eval.errors import UserError


class Table(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Size(Table):
    depth: int = 0


class Red(Table):
    kind: Literal["red"]
    size: Size | None = None


class Blue(Table):
    kind: Literal["blue"]
    shade: int


class Whole(Table):
    name: str = ""
    parts: tuple[Annotated[Red | Blue, Field(discriminator="kind")], ...] = ()
    size: Size | None = None


RED = '[[parts]]\nkind = "red"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('# x\nnmae = "a"\n', "t.toml:2: unknown key 'nmae'. Did you mean 'name'?"),
        (RED + '[[parts]]\nkind = "blue"\nshade = "x"\n', "t.toml:5: parts.1.shade: Input should"),
        (RED + '[[parts]]\nkind = "blue"\n', "t.toml:3: parts.1.shade: Field required"),
        (RED + '[[parts]]\nkind = "blu"\n', "t.toml:4: unknown kind 'blu'. Did you mean 'blue'?"),
        (RED + "[[parts]]\nshade = 1\n", "t.toml:3: parts.1.kind: Field required"),
        (RED + "shade = 1\n", "t.toml:3: unknown key 'shade'. Known: kind, size."),
        (RED + "size = {dept = 1}\n", "t.toml:3: unknown key 'dept'. Did you mean 'depth'?"),
        (RED + "[parts.size]\ndept = 1\n", "t.toml:4: unknown key 'dept'. Did you mean 'depth'?"),
        (RED + '[size]\n"depth" = "x"\n', "t.toml:4: size.depth: Input should"),
        (RED + "[size] # here\ndepht = 1\n", "t.toml:4: unknown key 'depht'. Did you mean 'depth'"),
        # The mistyped key is the fault, not the one that is missing for it.
        ('[[parts]]\nkind = "blue"\nshad = 1\n', "t.toml:3: unknown key 'shad'."),
        ("parts = 1\n", "t.toml:1: parts: Input should"),
        ("name = [\n", "t.toml:2: broken TOML"),
        ("name = 'a'\nname = 'b'\n", "t.toml:2: broken TOML"),
    ],
)
def test_a_fault_stands_on_its_line(text, message):
    with pytest.raises(UserError) as fault:
        toml_files.parse(Whole, Path("t.toml"), text)
    assert str(fault.value).startswith(message)


def test_defaults_stand_in_and_give_way():
    assert toml_files.parse(Whole, Path("t.toml"), "", name="file").name == "file"
    assert toml_files.parse(Whole, Path("t.toml"), 'name = "own"', name="file").name == "own"


def test_each_table_has_its_place():
    text = f"# x\n{RED}\n{RED}[size]\n"
    assert toml_files.places(Path("t.toml"), text, "parts", 2) == ("t.toml:2: ", "t.toml:5: ")
    # Tables written in one line have none of their own.
    assert toml_files.places(Path("t.toml"), "parts = []", "parts", 1) == ("t.toml:1: ",)
