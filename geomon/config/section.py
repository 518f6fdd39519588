"""What all sections of a config share."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Part of a config: immutable, its keys documented, unknown ones refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
