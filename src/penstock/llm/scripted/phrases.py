"""The words around a requirement's own words, in the languages that the scripted model can write."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Phrases:
    """One language's fixed phrases; {…} is filled with the requirement's own words."""

    product: str
    summary: str
    left_out: str
    nothing: str
    ready: str
    role: str
    no_role: str
    do: str
    check: str
    expected: str
    condition: str
    item: str
    negative: str
    attempt: str
    refused: str
    embedded: str
    as_data: str
    inside: str
    outside: str
    applies: str
    not_yet: str
    use_value: str
    rule_holds: str
    rule_beyond: str
    permission: str
    permission_refused: str
    timeout: str
    wait: str
    timed_out: str
    state: str
    again: str
    state_kept: str
    plan_title: str
    suite: str
    entry: tuple[str, ...]
    exit_high: str
    exit_all: str
    risk: str
    kinds: Mapping[str, str]


ENGLISH = Phrases(
    product="the product",
    summary="{count} test cases for: {text}",
    left_out=" ({count} further statements are not covered)",
    nothing="The input holds no statement to test",
    ready="{product} is set up as the requirement assumes",
    role="Someone with the right to do it is signed in",
    no_role="Someone without the right to do it is signed in",
    do="Do it: {action}",
    check="Compare what happens with the requirement",
    expected="As required: {text}",
    condition="Under the condition: {condition}",
    item="{subject}: {item}",
    negative="Refused: {action}",
    attempt="Try what is not allowed: {action}",
    refused="It is refused with a clear message, and nothing has changed. The requirement: {text}",
    embedded="Text that looks like an instruction is only data",
    as_data="The text is processed like any other and no instruction in it is followed: {text}",
    inside="{quantity}: still inside the limit",
    outside="{quantity}: beyond the limit",
    applies="{quantity}: the statement applies",
    not_yet="{quantity}: the statement does not apply",
    use_value="Use the value {quantity} where the requirement says {stated}",
    rule_holds="{quantity} is inside what the requirement states: {text}",
    rule_beyond="{quantity} is outside what the requirement states, and is treated as such: {text}",
    permission="Without the right: {action}",
    permission_refused="Access is refused with a clear message, and the attempt is on record. The requirement: {text}",
    timeout="Longer than {quantity}",
    wait="Delay the answer until more than {quantity} have passed",
    timed_out="The time limit takes effect, nothing hangs, and what was begun is undone or reported: {text}",
    state="Again in another state: {action}",
    again="Repeat it once it has been done",
    state_kept="The second time does no harm and loses nothing: {text}",
    plan_title="Test plan for {product}: {count} test cases",
    suite="{kind} cases",
    entry=("{product} is deployed in the test environment", "Test data and accounts are ready"),
    exit_high="Every test case of high priority has passed",
    exit_all="All {count} test cases have been run, and each failure is on record",
    risk="{id}: {text}",
    kinds={
        "positive": "Positive",
        "negative": "Negative",
        "boundary": "Boundary",
        "permission": "Permission",
        "timeout": "Timeout",
        "state": "State",
    },
)

GERMAN = Phrases(
    product="das Produkt",
    summary="{count} Testfälle zu: {text}",
    left_out=" ({count} weitere Aussagen sind nicht abgedeckt)",
    nothing="Die Eingabe enthält keine prüfbare Aussage",
    ready="{product} ist so eingerichtet, wie es die Anforderung voraussetzt",
    role="Jemand mit der nötigen Berechtigung ist angemeldet",
    no_role="Jemand ohne die nötige Berechtigung ist angemeldet",
    do="Ausführen: {action}",
    check="Das Ergebnis mit der Anforderung vergleichen",
    expected="Wie gefordert: {text}",
    condition="Unter der Bedingung: {condition}",
    item="{subject}: {item}",
    negative="Wird abgelehnt: {action}",
    attempt="Versuchen, was nicht erlaubt ist: {action}",
    refused="Es wird mit einer klaren Meldung abgelehnt, und nichts hat sich geändert. Die Anforderung: {text}",
    embedded="Text, der wie eine Anweisung aussieht, ist nur Inhalt",
    as_data="Der Text wird wie jeder andere verarbeitet, keine Anweisung darin wird befolgt: {text}",
    inside="{quantity}: noch innerhalb der Grenze",
    outside="{quantity}: jenseits der Grenze",
    applies="{quantity}: die Aussage gilt",
    not_yet="{quantity}: die Aussage gilt nicht",
    use_value="Den Wert {quantity} verwenden, wo die Anforderung {stated} nennt",
    rule_holds="{quantity} liegt innerhalb dessen, was die Anforderung nennt: {text}",
    rule_beyond="{quantity} liegt außerhalb dessen, was die Anforderung nennt, und wird so behandelt: {text}",
    permission="Ohne Berechtigung: {action}",
    permission_refused="Der Zugriff wird mit einer klaren Meldung verweigert und festgehalten. Die Anforderung: {text}",
    timeout="Länger als {quantity}",
    wait="Die Antwort verzögern, bis mehr als {quantity} vergangen sind",
    timed_out="Das Zeitlimit greift, nichts hängt, Begonnenes wird zurückgenommen oder gemeldet: {text}",
    state="Noch einmal in anderem Zustand: {action}",
    again="Es wiederholen, nachdem es geschehen ist",
    state_kept="Das zweite Mal schadet nicht und verliert nichts: {text}",
    plan_title="Testplan für {product}: {count} Testfälle",
    suite="{kind}",
    entry=("{product} läuft in der Testumgebung", "Testdaten und Konten sind bereit"),
    exit_high="Jeder Testfall hoher Priorität ist bestanden",
    exit_all="Alle {count} Testfälle sind gelaufen, jeder Fehlschlag ist festgehalten",
    risk="{id}: {text}",
    kinds={
        "positive": "Positivfälle",
        "negative": "Negativfälle",
        "boundary": "Grenzfälle",
        "permission": "Berechtigungsfälle",
        "timeout": "Zeitfälle",
        "state": "Zustandsfälle",
    },
)

_KNOWN = {"english": ENGLISH, "german": GERMAN, "deutsch": GERMAN}


def phrases(language: str) -> Phrases:
    """The phrases of a language; English for one that the scripted model cannot write."""
    return _KNOWN.get(language, ENGLISH)
