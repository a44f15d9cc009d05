from penstock.store.database import Database
from penstock.store.sessions import SessionStore


def test_a_session_keeps_its_release_until_it_is_moved(database: Database) -> None:
    sessions = SessionStore(database)
    assert sessions.get("t", "clerk", "s") is None
    sessions.pin("t", "clerk", "s", "sha256:a", "1.0.0", "prod")
    sessions.pin("t", "clerk", "s", release="sha256:b", version="1.1.0", stage="canary")
    found = sessions.get("t", "clerk", "s")
    assert found is not None
    assert (found.release, found.version, found.stage) == ("sha256:b", "1.1.0", "canary")


def test_tenants_and_agents_do_not_meet(database: Database) -> None:
    sessions = SessionStore(database)
    for tenant in ("t", "u", None):
        sessions.pin(tenant, "clerk", "s", f"sha256:{tenant}", "1.0.0", "prod")
        sessions.append(tenant, "clerk", "s", {"role": "user", "content": f"I am {tenant}"})
    for tenant in ("t", "u", None):
        found = sessions.get(tenant, "clerk", "s")
        assert found is not None
        assert found.release == f"sha256:{tenant}"
        assert sessions.history(tenant, "clerk", "s") == [{"role": "user", "content": f"I am {tenant}"}]
    assert sessions.get("t", "other", "s") is None
    assert sessions.history("t", "other", "s") == []


def test_history_keeps_its_order(database: Database) -> None:
    sessions = SessionStore(database)
    for turn in range(20):
        sessions.append("t", "a", "s", {"role": "user", "content": str(turn)}, {"role": "assistant", "content": ""})
    sessions.append("t", "a", "s")
    history = sessions.history("t", "a", "s")
    assert [message["content"] for message in history[::2]] == [str(turn) for turn in range(20)]
    assert {message["role"] for message in history[1::2]} == {"assistant"}
