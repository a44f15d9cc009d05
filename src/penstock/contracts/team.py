"""Teams: who owns what, and who may approve. Also what was retired."""

from pydantic import Field

from penstock.contracts.document import Mail, Name, Spec


class Team(Spec):
    """The people of one team."""

    members: list[Mail] = Field(default_factory=list, description="May change what the team owns.")
    approvers: list[Mail] = Field(default_factory=list, description="May review for the team; members as well.")


class Teams(Spec):
    """registry_repo/teams.yaml"""

    teams: dict[Name, Team] = Field(min_length=1)
    release_managers: list[Mail] = Field(default_factory=list, description="May approve for prod.")
    accounts: dict[str, Mail] = Field(
        default_factory=dict, description="User name at the forge (GitLab) -> the person's address in this file."
    )
    platform_team: Name | None = Field(None, description="Owns pipelines/, runtimes/ and teams.yaml; absent: anyone.")


class Retired(Spec):
    """registry_repo/retired.yaml: versions of all kinds but agents that take no new release."""

    deprecated: list[str] = Field(default_factory=list, description="References that still resolve, with a warning.")
    disabled: list[str] = Field(default_factory=list, description="References that resolve in no new release.")
