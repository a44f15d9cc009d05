"""Whether live sessions of a canary do worse than those of prod: sessions, losses, verdict."""
