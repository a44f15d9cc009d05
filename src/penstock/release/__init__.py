"""How a version moves: evidence, plan, apply, publish, rollback."""
