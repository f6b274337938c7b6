"""The one list of images, `images/images.yml`, checked when it is read."""

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

LIST = Path("images/images.yml")
BASE = "base"

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
Port = Annotated[int, Field(ge=1, le=65535)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]


class ImagesError(ValueError):
    """The list cannot be used, or Docker cannot do what is asked; the text says why and the remedy."""


class Part(BaseModel):
    """A shared layer, from which others are built."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    purpose: Text = Field(alias="for")
    on: Name = Field(description="what it is built from: a part, or `base`")
    uses: tuple[Name, ...] = Field(default=(), description="parts that are mounted while it is built")
    extras: tuple[Name, ...] = Field(default=(), description="extras of pyproject.toml it has; also `core` and `sdk`")


class Image(Part):
    """An image that is deployed."""

    user: int = Field(ge=10001, le=10999, description="uid and gid it runs as")
    ports: tuple[Port, ...] = ()
    gpu: bool = Field(default=False, description="whether it may be given a GPU")
    health: tuple[Text, ...] = Field(min_length=1, description="the health check's command")


class Supplied(BaseModel):
    """An image that is built of files which only the operator has, on a base of its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    purpose: Text = Field(alias="for")
    base: Text = Field(description="the registry's image it stands on")
    verb: Text = Field(description="the command that builds it")
    user: int = Field(ge=10001, le=10999, description="uid and gid it runs as")
    ports: tuple[Port, ...] = ()
    health: tuple[Text, ...] = Field(min_length=1, description="the health check's command")


class Upstream(BaseModel):
    """An image that is taken as its makers publish it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    purpose: Text = Field(alias="for")
    image: Text = Field(description="its name with the registry's, without a tag")
    version: Text = Field(description="the makers' tag; for people, the digest decides")
    digest: Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
    ports: tuple[Port, ...] = ()

    def reference(self, mirror: str | None) -> str:
        """Where it is pulled from: its own registry, or a mirror of it."""
        return f"{self.image if mirror is None else mirror + '/' + self.image.partition('/')[2]}@{self.digest}"


class ImageList(BaseModel):
    """The list: parts in the order they are built, then images."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base: Text = Field(description="the registry's image that everything stands on")
    parts: dict[Name, Part]
    images: dict[Name, Image]
    supplied: dict[Name, Supplied] = Field(default_factory=dict)
    upstream: dict[Name, Upstream] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _refers_backwards(self) -> Self:
        known = {BASE}
        for name, part in (*self.parts.items(), *self.images.items()):
            unknown = sorted({part.on, *part.uses} - known)
            if unknown:
                raise ValueError(f"{name} is built from {', '.join(unknown)}, which no part before it is called")
            if name in self.parts:
                known.add(name)
        return self

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        twice = sorted({BASE, *self.parts} & set(self.images))
        if twice:
            raise ValueError(f"{', '.join(twice)}: an image is called as a part is")
        ours = {*self.images, *self.supplied}
        if twice := sorted({BASE, *self.parts, *ours} & set(self.upstream)):
            raise ValueError(f"{', '.join(twice)}: an image from elsewhere is called as one of ours is")
        return self

    def entry(self, name: str) -> Part:
        """A part or an image by its name."""
        return self.images.get(name) or self.parts[name]

    def build_order(self, wanted: Iterable[str]) -> list[str]:
        """The wanted images (all, when none is named), each after what it is built from.

        Raises:
            ImagesError: one of them is not in the list.
        """
        names = list(wanted) or list(self.images)
        for name in names:
            if name in self.supplied:
                raise ImagesError(f"{name} needs files of yours: {self.supplied[name].verb} --help says which")
            if name in self.upstream:
                raise ImagesError(f"{name} is not built but taken as it is: flipctl images upstream {name}")
        unknown = sorted(set(names) - set(self.images))
        if unknown:
            raise ImagesError(f"no image is called {', '.join(unknown)}; there are {', '.join(self.images)}")
        needed: set[str] = set()
        queue = list(names)
        while queue:
            name = queue.pop()
            if name == BASE or name in needed:
                continue
            needed.add(name)
            part = self.entry(name)
            queue += [part.on, *part.uses]
        return [name for name in (*self.parts, *self.images) if name in needed]


def checkout() -> Path:
    """The checkout this file belongs to.

    Raises:
        ImagesError: it is not run from one; images are built from their sources.
    """
    root = Path(__file__).resolve().parents[2]
    if not (root / LIST).is_file():
        raise ImagesError(f"{root / LIST} does not exist: run flipctl from a checkout of the repository (make setup)")
    return root


def load(root: Path) -> ImageList:
    """Reads the list of a checkout.

    Raises:
        ImagesError: it cannot be read, or is wrong; the text names each place.
    """
    path = root / LIST
    try:
        return ImageList.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError) as error:
        raise ImagesError(f"{path}: {error}") from None
    except ValidationError as error:
        lines = (f"{'.'.join(map(str, item['loc'])) or LIST.name}: {item['msg']}" for item in error.errors())
        raise ImagesError("\n".join(f"{path}: {line}" for line in lines)) from None


def version(root: Path) -> str:
    """The version of `pyproject.toml`, with which images are tagged."""
    project: dict[str, Any] = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])


def tag(images: ImageList, name: str, release: str) -> str:
    """What an image, or a part, is called in Docker."""
    own = name in {*images.images, *images.supplied, *images.upstream}
    return f"flip/{name}:{release}" if own else f"flip/part-{name}:{release}"
