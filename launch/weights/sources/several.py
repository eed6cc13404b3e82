"""Several sources of one model: the list of files from the first that has it, bytes from whichever is fastest.

Every file is verified like one of a single source. A source that fails, or that sends other bytes than listed, is
named and no longer used.
"""

from __future__ import annotations

import logging
import threading
from concurrent.futures import wait
from dataclasses import dataclass, field

from errors import Failed, SlipwayError
from launch import deadline
from launch.http.pool import ConnectionPool
from launch.http.retry import TransientError
from launch.weights.manifest import Entry, Manifest, require_digest
from launch.weights.source import Reader, Source
from launch.weights.sources.candidate import Candidate
from launch.weights.sources.switching_reader import SwitchingReader

SECONDS = 20.0  # for the listings of all sources after the first
EARLIER = "an earlier fetch"

logger = logging.getLogger(__name__)


@dataclass
class SeveralSources:
    """Sources in order of trust, by name, as one source (`source.Source`).

    `digest` is the one that the list of files must have; empty accepts any.
    """

    sources: dict[str, Source]
    digest: str = ""
    listed_by: str = ""
    _candidates: list[Candidate] = field(default_factory=list)
    _given: dict[str, set[str]] = field(default_factory=dict)  # by blob: which sources its bytes are from
    _suspects: dict[str, set[str]] = field(default_factory=dict)  # by blob: one of them sent other bytes
    _only: dict[str, str] = field(default_factory=dict)  # by blob: the source to take all of it from
    _mixes: bool = True
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def manifest(self, revision: str) -> Manifest:
        """Return the listing of the first source that has one, and compare those of the others with it.

        Raises the error of the first source if none has a listing.
        """
        errors: dict[str, SlipwayError] = {}
        for name, source in self.sources.items():
            try:
                listed = source.manifest(revision)
                require_digest(listed, self.digest, "")
            except SlipwayError as error:
                errors[name] = error
                continue
            self._begin(name, listed, errors)
            return listed
        (first, *others) = errors.values()
        also = "; ".join(f"{one.what}: {one.why}" if one.why else one.what for one in others)
        raise type(first)(first.what, why=f"{first.why}; {also}" if also else first.why, fix=first.fix)

    def _begin(self, lister: str, listed: Manifest, errors: dict[str, SlipwayError]) -> None:
        """Find out which files each source has, all of them at once."""
        for name, error in errors.items():
            use = "" if _is_silent(error) else " for the list of files"
            logger.warning("%s is not used%s: %s", name, use, _text(error))
        self.listed_by = lister
        silent = {name for name, error in errors.items() if _is_silent(error)}
        others = {name: source for name, source in self.sources.items() if name not in {lister, *silent}}
        answers = {
            name: deadline.start(lambda source=source: _listing(source, listed))  # type: ignore[misc]
            for name, source in others.items()
        }
        wait(answers.values(), timeout=SECONDS)
        wanted = {entry.path for entry in listed.wanted}
        self._candidates = []
        for name, source in self.sources.items():
            if name == lister:
                self._candidates.append(Candidate(name, source, frozenset(wanted)))
            elif name in silent:
                continue
            elif not answers[name].done():
                logger.warning("%s is not used: it did not list its files within %.0f s", name, SECONDS)
            elif error_ := answers[name].exception():
                if not isinstance(error_, SlipwayError):
                    raise error_
                logger.warning("%s is not used: %s", name, _text(error_))
            else:
                self._admit(name, source, listed, answers[name].result())

    def _admit(self, name: str, source: Source, listed: Manifest, own: Manifest) -> None:
        """Use a source for the files that it lists as the first source does."""
        by_path = {entry.path: entry for entry in own.wanted}
        same = {one.path for one in listed.wanted if one.path in by_path and _agree(one, by_path[one.path])}
        differ = [one.path for one in listed.wanted if one.path in by_path and one.path not in same]
        absent = len(listed.wanted) - len(same) - len(differ)
        for count, what, paths in (
            (len(differ), "lists other content for", differ),
            (absent, "does not have", [one.path for one in listed.wanted if one.path not in by_path]),
        ):
            if count:
                logger.warning(
                    "%s %s %d of %d files, such as %s", name, what, count, len(listed.wanted), paths[0]
                )
        if same:
            self._candidates.append(Candidate(name, source, frozenset(same)))

    def open(self, entry: Entry, first: int, end: int, pool: ConnectionPool) -> Reader:
        """Read part of a file from the source that is fastest now; the reader changes it if another is faster."""
        if first:
            with self._lock:  # what an earlier fetch left may be from anywhere
                self._given.setdefault(entry.blob, {EARLIER})
        return SwitchingReader(self, entry, first, end, pool)

    def candidates(self, entry: Entry) -> list[Candidate]:
        """Return the sources that may be used for a file. Raises Failed if there is none."""
        with self._lock:
            usable = [one for one in self._candidates if one.has(entry.path)]
            only = self._only.get(entry.blob)
            if only is None and not self._mixes and (given := self._given.get(entry.blob, set()) - {EARLIER}):
                only = next(iter(given))
            pinned = [one for one in usable if one.name == only]
        if not usable:
            why = "; ".join(f"{one.name}: {one.dropped}" for one in self._candidates if one.dropped)
            fix = "run the same command again later, or with another --source; finished parts are kept"
            raise Failed(f"no source is left for {entry.path}", why=why, fix=fix)
        return pinned or usable

    def note_bytes(self, entry: Entry, name: str) -> None:
        """Note that a source gave bytes of a file."""
        with self._lock:
            self._given.setdefault(entry.blob, set()).add(name)

    def drop(self, candidate: Candidate, why: str, entry: Entry) -> bool:
        """Use a source no longer, unless it is the last one that has this file. Return whether it was dropped."""
        with self._lock:
            if candidate.dropped:
                return True
            others = [one for one in self._candidates if one is not candidate and one.has(entry.path)]
            if not others:
                return False
            candidate.dropped = why
        logger.warning("%s is no longer used: %s", candidate.name, why)
        return True

    def reject(self, entry: Entry) -> bool:
        """Take note that a file has the wrong content. Return whether fetching it again may bring the right one.

        If its bytes are from one source, that source is dropped. If they are from several, the file is fetched from
        one of them alone, which shows who sent the other bytes.
        """
        with self._lock:
            given = self._given.pop(entry.blob, set())
            self._only.pop(entry.blob, None)
            names = [one.name for one in self._candidates if one.name in given]
        if EARLIER in given or len(names) != 1:
            with self._lock:
                if len(names) > 1:
                    self._suspects[entry.blob] = set(names)
                    self._only[entry.blob] = names[0]
                    self._mixes = False
            return True
        culprit = next(one for one in self._candidates if one.name == names[0])
        return self.drop(culprit, f"it sent other bytes of {entry.path} than listed", entry)

    def accept(self, entry: Entry) -> None:
        """Take note that a file is right; if it was wrong before, drop the only other source that can have been it."""
        with self._lock:
            given = self._given.pop(entry.blob, set())
            suspects = self._suspects.pop(entry.blob, set()) - given
            found = [one for one in self._candidates if one.name in suspects]
        if len(found) == 1:
            self.drop(found[0], f"it sent other bytes of {entry.path} than listed", entry)
        elif found:
            names = " or ".join(one.name for one in found)
            logger.warning("%s sent other bytes of %s than listed", names, entry.path)

    def shares(self) -> dict[str, int]:
        """Return the bytes that each source sent, by its name, without those that sent none."""
        return {one.name: one.received for one in self._candidates if one.received}


def _listing(source: Source, listed: Manifest) -> Manifest:
    """Return a source's list of files at the listed commit, else at the branch or tag, else of its main branch.

    Raises the first error if there is none.
    """
    errors: list[SlipwayError] = []
    for revision in dict.fromkeys((listed.commit, listed.revision, "main")):
        try:
            return source.manifest(revision)
        except SlipwayError as error:
            errors.append(error)
            if _is_silent(error):
                break
    raise errors[0]


def _agree(listed: Entry, own: Entry) -> bool:
    """Whether two listings can mean the same content: equal sizes, and equal hashes of the same kind."""
    if listed.size != own.size:
        return False
    hashes = [(listed.blob, own.blob), (listed.sha256, own.sha256)]
    same_kind = [(one, two) for one, two in hashes if one and two and len(one) == len(two)]
    return not same_kind or any(one == two for one, two in same_kind)


def _is_silent(error: SlipwayError) -> bool:
    """Whether a source did not answer at all, so that another question is of no use."""
    return isinstance(error.__cause__, TransientError)


def _text(error: SlipwayError) -> str:
    return f"{error.what} ({error.why})" if error.why else error.what
