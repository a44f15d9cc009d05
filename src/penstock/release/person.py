"""A person, or the driver itself, as whoever acts on the release path, and how that is known."""

from dataclasses import dataclass

SELF_DECLARED = "git-config"
DRIVER = "driver"


@dataclass(frozen=True, slots=True)
class Person:
    """Who acts. `mail` is in lower case; `identified_by` is git-config (self-declared), a forge's name, or driver."""

    name: str
    mail: str
    identified_by: str = SELF_DECLARED

    @property
    def is_driver(self) -> bool:
        """Whether no person acts: a rule of the pipeline does."""
        return self.identified_by == DRIVER
