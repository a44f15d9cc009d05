from sqlalchemy import update

from penstock.store import tables
from penstock.store.database import Database
from penstock.store.duty import Duty

HOUR_S = 3_600.0


def make_due(database: Database) -> None:
    with database.write() as connection:
        connection.execute(update(tables.duties).values(due="2000-01-01T00:00:00.000000Z"))


def test_one_of_many_takes_what_is_due(database: Database) -> None:
    first, second = (Duty(database, "sweep", holder) for holder in ("a", "b"))
    assert not first.take(HOUR_S, first_after_s=HOUR_S)
    make_due(database)
    assert first.take(HOUR_S, HOUR_S)
    assert not second.take(HOUR_S, HOUR_S)
    assert first.renew(HOUR_S)
    first.leave(HOUR_S)
    assert not second.take(HOUR_S, HOUR_S)
    assert not first.renew(HOUR_S)


def test_who_stops_in_the_middle_is_followed_by_another(database: Database) -> None:
    first, second = (Duty(database, "sweep", holder) for holder in ("a", "b"))
    assert first.take(0.0, first_after_s=-1.0)
    assert second.take(HOUR_S, HOUR_S)
    assert not first.renew(HOUR_S)
    first.leave(0.0)
    assert second.renew(HOUR_S)
