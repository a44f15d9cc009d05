"""OwnTurn: a question that the platform itself asks for a run. Counted and journalled as any, heard by nobody."""

from penstock.engine.model_turn import ModelTurn


class OwnTurn(ModelTurn):
    """A `ModelTurn` whose text is no part of what the run's caller hears."""

    def _delta(self, text: str) -> None:
        """Nothing: a stream carries the run's own words alone."""
