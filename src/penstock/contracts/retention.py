"""Retention: how long runs and what was said in them are kept, and where."""

from pydantic import Field, model_validator

from penstock.contracts.document import Duration, Spec, duration_s


class RetentionRules(Spec):
    """Ages after which something goes. A run's age counts from its start, a message's from when it was said."""

    runs: Duration = Field("30d", description="Summaries and events of ended runs, in the database.")
    payloads: Duration = Field("30d", description="Inputs, messages, results and outputs, outside of the archive.")
    sessions: Duration = Field("90d", description="Messages of sessions.")
    uploads: Duration = Field("1d", description="Payloads that a caller left for runs to come; whole days.")
    archive: bool = Field(True, description="Whether runs go to the archive, before anything of them is deleted.")
    archived_runs: Duration = Field("365d", description="Events and summaries in the archive; whole days.")
    archived_payloads: Duration = Field("365d", description="Payloads in the archive; whole days.")

    @model_validator(mode="after")
    def _in_order(self) -> "RetentionRules":
        for shorter, longer in (
            ("payloads", "runs"),
            ("archived_payloads", "archived_runs"),
            *([("runs", "archived_runs")] if self.archive else []),
        ):
            if duration_s(getattr(self, shorter)) > duration_s(getattr(self, longer)):
                names = (type(self).model_fields[name].alias or name for name in (shorter, longer))
                raise ValueError("{} is longer than {}".format(*names))
        return self
