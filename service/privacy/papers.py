"""Papers on privacy, made from the settings and the campaigns: what is stored, who decides, and what to tell. Pure."""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import NamedTuple

from experiments.model import Experiment
from experiments.privacy.special_categories import found_in

_GDPR = "https://eur-lex.europa.eu/eli/reg/2016/679/oj"
_EPRIVACY = "https://eur-lex.europa.eu/eli/dir/2002/58/oj"
_CNIL = "https://www.cnil.fr/fr/cookies-et-autres-traceurs/regles/cookies-solutions-pour-les-outils-de-mesure-daudience"
_GPC = "https://www.w3.org/TR/gpc/"

Row = tuple[str, ...]
Written = Mapping[str, str | None]


class Section(NamedTuple):
    """A part of a paper: sentences, then a table where there are `rows`."""

    heading: str
    sentences: tuple[str, ...] = ()
    columns: Row = ()
    rows: tuple[Row, ...] = ()


class Paper(NamedTuple):
    """A paper; its name is what it is asked for by."""

    name: str
    title: str
    sections: tuple[Section, ...]


class Kept(NamedTuple):
    """Something that is stored: in which tables, what for, how long, and who can read it."""

    what: str
    tables: tuple[str, ...]
    why: str
    how_long: str
    readers: str


_DURING = "as long as the database"
_OPERATORS = "whoever has the database"


def data_map(written: Written) -> list[Kept]:
    """Everything that the database keeps; every table stands in one line."""
    horizon, session = written["BESPOKE_DEDUPLICATION_HORIZON"], written["BESPOKE_SESSION_LIFETIME"]
    events, exposures = written["BESPOKE_RETENTION_EVENTS"], written["BESPOKE_RETENTION_EXPOSURES"]
    return [
        Kept(
            "events: a keyed hash in place of the visitor's id, name, time, declared amounts, a digest of the body, "
            "and attributes that are declared to be stored, coarsened",
            ("events", "waiting"), "to count each event once, to count again, and to propose segments",
            f"for {events} once they can change no count any more; those older than {horizon} are not taken in",
            f"{_OPERATORS}; admins, of one visitor or as an export",
        ),
        Kept(
            "exposures and totals: by the same hash, the arm, the segment, the time, and what was reached",
            ("exposures", "totals"), "so that a visitor keeps the arm, and counts where first exposed",
            f"for {exposures} after the campaign has stopped and none of their events is kept",
            f"{_OPERATORS}; admins, as above; keys of scope server learn a visitor's arm by asking for it",
        ),
        Kept(
            "counters without identity: by campaign, epoch, day, segment, arm, and what is stored of attributes",
            ("cells", "lags", "counters"),
            "reports and reallocations read nothing else", _DURING,
            f"viewers, and keys of scope report; figures about fewer than {written['BESPOKE_MIN_CELL']} visitors are "
            "hidden",
        ),
        Kept(
            "objections: by the same hash, since when", ("opt_outs",), "to heed them",
            "until taken back, and then as a word that it was", "keys of scope server, one visitor at a time",
        ),
        Kept(
            "who was erased: a hash of that hash, under another key", ("tombstones",), "to store nothing more of them",
            "until nothing from before can come any more, backups included", _OPERATORS,
        ),
        Kept(
            "campaigns, decisions about weights, reviews of segments",
            ("experiments", "ledger", "slots", "heads", "restores", "meta", "reviews", "errands", "handed"),
            "to run them, and to prove how they ran", _DURING, "viewers, and keys of scope report",
        ),
        Kept(
            "people who log in: e-mail, role, a hash of the password, sessions as digests, forms they have begun",
            ("users", "sessions", "drafts"), "to let them in", f"until removed; sessions for {session}", "admins",
        ),
        Kept(
            "who changed what: e-mail or a key's prefix, and when", ("audit",), "accountability (GDPR, Article 5(2))",
            _DURING, "admins",
        ),
        Kept(
            "keys as digests, and answers to requests that may be sent again", ("keys", "replies"),
            "to let programs in, and to do nothing twice", "keys as long as the database; answers for a day", "admins",
        ),
        Kept(
            "beyond one database: which database has which part of the visitors, and how far each is counted",
            ("collected_waiting", "watermarks"), "reports that say whether they are complete", _DURING, _OPERATORS,
        ),
        Kept("which version the database is of", ("migrations",), "upgrades", _DURING, _OPERATORS),
    ]


def papers(written: Written, experiments: Sequence[Experiment]) -> list[Paper]:
    """All papers; `written` are the settings in force as texts, the campaigns those that are not archived."""
    return [
        Paper("map", "What is stored, why, how long, and who can read it", tuple(_map(written, experiments))),
        Paper("consent", "What needs consent, and what does not", tuple(_consent(written))),
        Paper("notice", "A privacy notice, to be completed", tuple(_notice(written, experiments))),
        Paper("assessment", "An impact assessment, to be completed", tuple(_assessment(written, experiments))),
    ]


def _map(written: Written, experiments: Sequence[Experiment]) -> Iterator[Section]:
    yield Section(
        "In the database",
        (
            "A visitor's id is never written down: what stands for it is a keyed hash (HMAC-SHA256, 16 bytes), whose "
            "key opens with a secret alone that is kept outside of the database and of its backups. Such data stay "
            "personal data for whoever has the secret (GDPR, Article 4(5)).",
        ),
        ("What", "Tables", "Why", "How long", "Who can read it"),
        tuple((kept.what, ", ".join(kept.tables), kept.why, kept.how_long, kept.readers) for kept in data_map(written)),
    )
    yield Section(
        "Outside of it",
        (
            "Logs hold no id, no body, no address and no key, whatever their level.",
            f"In memory alone, attributes of the newest {written['BESPOKE_RECENT_TRAFFIC']} visitors who consent to "
            "personalisation are held without their ids, to size segments by.",
            "A page that uses /sdk.js keeps an id it made, assignments and unsent events in the visitor's browser, and "
            "nothing without consent.",
        ),
    )
    yield Section(
        "What campaigns look at",
        () if experiments else ("There is no campaign yet.",),
        ("Campaign", "Attributes", "Special segments and their legal basis"),
        tuple(
            (experiment.key, ", ".join(experiment.attributes) or "none", "; ".join(_special(experiment)) or "none")
            for experiment in experiments
        ),
    )


def _special(experiment: Experiment) -> Iterator[str]:
    for segment in experiment.segments:
        found = found_in(experiment, segment)
        if found or segment.legal_basis:
            yield f"{segment.key}: {segment.legal_basis or 'none on record'}"


def _consent(written: Written) -> Iterator[Section]:
    yield Section(
        "General information, not legal advice",
        (
            "Rules differ by country and change; ask whoever advises you. The sources are linked.",
            f"Where a request says nothing of consent, this installation takes {written['BESPOKE_CONSENT_DEFAULT']} "
            "(BESPOKE_CONSENT_DEFAULT).",
        ),
    )
    yield Section("By what is done", (), ("What", "Consent", "Why", "Here"), (
        (
            "one message for everybody, nothing stored", "not needed for this", "no data about anybody are processed",
            "consent: none, Sec-GPC: 1, or opted out",
        ),
        (
            "measuring which of two messages does better, without segments",
            "in the EU in general needed where a device stores something; some authorities exempt it on conditions",
            f"ePrivacy Directive, Article 5(3) ({_EPRIVACY}); France exempts audience measurement and A/B tests that "
            f"serve that purpose alone, are told of, can be objected to and give anonymous statistics ({_CNIL})",
            "consent: measure: mass and control arms only, attributes are not looked at",
        ),
        (
            "a message made for the visitor's segment", "needed, or another legal basis; no exemption for measurement "
            "covers it", f"it is profiling for direct marketing: GDPR, Articles 6, 7 and 21(2) ({_GDPR})",
            "consent: personalise",
        ),
        (
            "segments on health, politics, religion, sexuality, union membership, origin, genetics or biometrics",
            "explicit consent as a rule", f"GDPR, Article 9 ({_GDPR}); what is inferred counts too (CJEU C-184/20)",
            "refused without a legal basis on record",
        ),
        (
            "an objection to direct marketing", "always heeded",
            f"GDPR, Article 21(3) ({_GDPR}); {_GPC} for the signal",
            "the list of opt-outs, on every node within five seconds",
        ),
    ))


def _notice(written: Written, experiments: Sequence[Experiment]) -> Iterator[Section]:
    attributes = sorted({name for experiment in experiments for name in experiment.attributes})
    yield Section("Who we are", ("[Name, address, contact; data protection officer if there is one.]",))
    yield Section("What we do", (
        "We find out which of our messages serves whom. For that we show you one of several messages, note which "
        "one, and whether you did what it was about, such as an order.",
        f"What we look at to choose it: {', '.join(attributes) or 'nothing about you'}.",
        "In place of your customer number or cookie we store a keyed hash; reports show sums, none about fewer than "
        f"{written['BESPOKE_MIN_CELL']} people.",
    ))
    yield Section("Why we may", ("[Your consent, or our legitimate interest in …; for special categories: …]",))
    yield Section("How long", ("[Until … after the end of a campaign; sums without identity stay.]",))
    yield Section("Your rights", (
        "You may object at any time, without giving a reason: you then get the message that everybody gets, and "
        "nothing more about you is stored. [How: a link, an address.] A browser that sends Global Privacy Control has "
        "objected.",
        "You may ask what is stored about you, have it erased, and complain to [the supervisory authority].",
    ))


def _assessment(written: Written, experiments: Sequence[Experiment]) -> Iterator[Section]:
    special = [f"{experiment.key}, {segment}" for experiment in experiments for segment in _special(experiment)]
    yield Section("What is planned", (
        f"{len(experiments)} campaigns: {', '.join(experiment.key for experiment in experiments) or 'none'}. "
        "[What for, whose data, how many people.]",
        f"Special categories: {'; '.join(special) or 'none on record'}.",
    ))
    yield Section("Necessary and proportionate?", (
        "[Could one message for all reach the aim? The pre-flight and the what-if say what tailoring gains.]",
    ))
    yield Section("Risks and what is done against them", (), ("Risk", "What is done", "What is left to you"), (
        ("somebody is recognised in what is stored", "keyed hashes; the secret apart from database and backups",
         "keep the secret apart, change it when it may be known, and give few people the database"),
        ("somebody is recognised in a report",
         f"figures about fewer than {written['BESPOKE_MIN_CELL']} visitors hidden, and those that would tell them",
         "do not lower BESPOKE_MIN_CELL"),
        ("a segment reveals what nobody should infer", "special categories need a legal basis on record",
         "read the rules of segments: words that the list does not know need special"),
        ("somebody is treated worse than others", "guardrails, the report by segment, a log of every decision",
         "say decision_impact of prices, credit or jobs: no policy decides them then without a reason on record (GDPR, "
         "Article 22)"),
        ("an objection is not heeded", "consent for each request, the signal, opt-outs on every node in seconds",
         "tell people how to object"),
    ))
    yield Section("What remains", ("[Your judgement, who was asked, the day on which this is looked at again.]",))
