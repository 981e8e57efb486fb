# ruff: noqa: RUF001 - people write in several languages and scripts
"""Prose about the platform: access, databases, builds, backups, interfaces."""

from __future__ import annotations

from typing import Final

SCRIPT: Final = r"""
=== login | component::platform
## issue: Single sign-on sends operators in circles after a password change
labels: type::bug, priority::2

The old session cookie is refused, the login page finds a valid single sign-on session and sends the
browser back.
`ERR_TOO_MANY_REDIRECTS`.
--- jonas.weber
Delete the cookie before redirecting. One line, three hours to find.
## issue: Two-factor codes are rejected on console 3
labels: type::bug

Its clock is 50 seconds slow, because its time server entry has a typo.
--- tomasz.zielinski
Fixed on the machine. Accepting one step of drift on either side would have hidden it.
## issue: Sessions should end with the shift
labels: type::feature

People log in on Monday and the console stays logged in as them until Friday. Sessions should end with the
shift plan.
## change: Delete the stale cookie before the redirect
closes: 1
files: src/auth/session.py, tests/session_test.py
--- luc.tremblay @ src/auth/session.py:41 resolved
Log why the session was refused, without the cookie itself.
## change: Alarm when the clock of a console is off
closes: 2
files: deploy/monitoring.yml

=== roles | component::platform
## issue: Observers can acknowledge alarms
labels: type::bug, priority::1

The role `observer` has read-only rights in the interface, but the server does not check. A visitor
acknowledged
an alarm with the keyboard.
--- ama.boateng
Check on the server, always. The interface only hides buttons.
## issue: Commands that move hardware need a second person
labels: type::feature, needs::decision

Opening a vent valve takes one click of one person. We want a second person to confirm every command that
moves
something on the pad.
--- mira.okafor
Two people, two consoles, within 30 seconds. Like the keys in the films.
--- +priya.nair
Except in an emergency stop: that one must work alone, from anywhere.
## change: Check roles on the server for every command
closes: 1
files: src/auth/roles.py, tests/roles_test.py
--- jonas.weber
The table of commands and roles is generated into the documentation, so that the review is easy.
## change: Two-person rule for commands that move hardware
closes: 2
files: src/commands/two_person.py
--- mira.okafor @ src/commands/two_person.py:42
The second confirmation must show the same parameters as the first, or people confirm blindly.

=== slow-query | component::platform
## issue: Event search takes 40 seconds since the last flight
labels: type::bug

```
Seq Scan on events  (cost=0.00..912844.10 rows=31 width=220) (actual time=39712.4..39712.9 rows=31)
  Filter: ((vehicle = 'AR-7') AND (at > '2026-02-11'))
```
--- li.wei
缺少 (vehicle, at) 复合索引。(A composite index is missing.)
## issue: Schema migration locks the event table for two minutes
labels: priority::2

Adding a column with a default rewrote the whole table while a simulation was running.
--- tomasz.zielinski
Add it nullable, fill it in batches, then set the default.
## issue: Connection pool runs dry during replays

All 20 connections wait for the same row lock.
## change: Composite index on events
closes: 1
files: src/events/events.sql
--- li.wei
40 秒变成 12 毫秒。🎉
## change: Guide for migrations without long locks
closes: 2
files: docs/migrations.md

=== flaky-tests | component::platform
## issue: Test of the reconnect logic fails once in twenty runs
labels: type::bug

`AssertionError: expected 3 attempts, got 2`. It sleeps for 100 ms and hopes.
--- hana.sato
Give it a fake clock. A test that waits for real time is a lottery.
## issue: Pipeline takes 47 minutes, of which 31 are waiting
labels: type::maintenance

| job | waits | runs |
|---|---:|---:|
| build | 2 min | 6 min |
| unit | 9 min | 4 min |
| hardware in the loop | 20 min | 6 min |
--- jonas.weber
There is one hardware runner for everybody. Run it on merge requests that touch `src/control` only, and at
night.
## change: Fake clock for the reconnect tests
closes: 1
files: tests/reconnect_test.py
--- hana.sato
10,000 runs, no failure, and it takes 3 ms instead of 2 s.
## change: Run hardware tests only where they can fail
closes: 2
files: .gitlab-ci.yml

=== dependencies | component::platform
## issue: Base image has 14 known vulnerabilities
labels: type::maintenance, priority::2

Mostly in packages that we do not use: an image library, a mail server, Perl.
--- priya.nair
Then let us not ship them. A slim base has two, and both have a fix.
## issue: Upgrade of the message library changes the default of acknowledgements
labels: type::bug

Since version 4 messages are acknowledged on receipt and no longer after processing. A crash loses them.
--- d.sokolov
Это было в примечаниях к выпуску, мелким шрифтом. (It was in the release notes, in small print.)
## issue: Licence of the plotting library has changed
labels: needs::decision

From version 5 on the plotting library has a source-available licence. May we go on using it, or do we stay
on 4?
--- luc.tremblay
Legal says version 5 is fine for internal use, and we must not hand it to the customer.
## change: Slim base image
closes: 1
files: deploy/Dockerfile, .gitlab-ci.yml
--- tomasz.zielinski @ deploy/Dockerfile:41 resolved
We need `tzdata`, or every local time on the reports is wrong.
## change: Acknowledge messages after processing again
closes: 2
files: src/bus/consumer.py, tests/consumer_test.py

=== backups | component::platform
## issue: Restore of the configuration database has never been tried
labels: priority::1

We have backups of every night since 2024 and no idea whether they work.
--- tomasz.zielinski
Tried today: it does **not**. The dump has no roles, so every grant fails.

```
ERROR:  role "console_rw" does not exist
```
--- +luc.tremblay
Good that we tried. Once a month from now on, and by somebody else each time.
## issue: Backup job stops silently when the disk is full
labels: type::bug

The nightly job ended with `No space left on device` for eleven nights, and every night it was reported green.
--- jonas.weber
It exits with 0. The alarm has to come from the *age of the newest backup*, not from the job.
## change: Monthly restore exercise with a protocol
closes: 1
files: docs/restore.md, deploy/backup.yml
## change: Alarm on the age of the newest backup
closes: 2
files: deploy/monitoring.yml
--- luc.tremblay
Fired on its first night. The disk was full. 🙃

=== public-api | component::platform
## issue: Customer interface returns all passes at once
labels: type::bug

41,000 rows, 60 MB, and the customer asks every minute.
--- li.wei
分页，并支持 If-None-Match。(Pagination, and conditional requests.)
## issue: Interface should tell clients when to slow down
labels: type::feature

Now we just drop connections above 50 requests a second. Nobody understands why.
--- sofia.marques
429 with `Retry-After`, and the remaining quota in a header.
## change: Pages of 100 for the customer interface
closes: 1
files: src/api/passes.py, docs/api.md
--- sofia.marques @ src/api/passes.py:41 resolved
Sort by id, or rows move between pages while somebody reads.
## change: Quota headers and 429
closes: 2
files: src/api/quota.py, tests/quota_test.py

=== audit | component::platform
## issue: Audit log does not record who changed a limit
labels: type::bug, priority::2

It says that the limit of `TK-3` was changed at 16:20. Not by whom, and not from what.
--- ama.boateng
For a launch licence both are mandatory.
## issue: Export control: foreign visitors must not see engine data
labels: needs::decision

Engine channels fall under export control. Everybody with an account can plot them, visitors from abroad too.
--- luc.tremblay
Tag channels with a classification, and filter on the server by the person's clearance.
--- +ama.boateng
And the recordings, and the screenshots in the shift log. People forget those.
## issue: Memory of the audit service grows by 200 MB a day
labels: type::bug

After twelve days the service is killed by the kernel:

```
Out of memory: Killed process 2211 (auditd) total-vm:3981204kB, anon-rss:2610880kB
```
--- hana.sato
Every request handler registers a listener and none removes it. Found with two heap snapshots.
## change: Record person, old and new value in the audit log
closes: 1
files: src/audit/record.py, src/audit/schema.sql
--- ama.boateng
Exactly what the licence asks for. Thank you.
## change: Unregister listeners when a request ends
closes: 3
files: src/audit/listeners.py, tests/listeners_test.py
"""
