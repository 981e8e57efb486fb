# ruff: noqa: RUF001 - people write in several languages and scripts
"""The entities that examples name, and the small second project."""

from __future__ import annotations

from typing import Final

SHOWCASE: Final = r"""
=== countdown-abort | component::flight, type::bug
## issue: Countdown aborts at T-7 s: fuel valve telemetry arrives late
iid: 12
author: mira.okafor
labels: priority::1, launch-blocker
state: opened

During the wet dress rehearsal the sequencer aborted at **T-7 s** because `FV-2` was "not confirmed open".
The valve was open. Its position sample reached the sequencer 840 ms late, and the limit is 500 ms.

| valve | commanded | confirmed | delay |
|-------|-----------|-----------|------:|
| FV-1  | T-8.000   | T-7.912   |  88 ms |
| FV-2  | T-8.000   | T-7.160   | 840 ms |
| FV-3  | T-8.000   | T-7.905   |  95 ms |

```
07:41:52.160 WARN  sequencer  valve FV-2: confirmation outside window (840 ms > 500 ms)
07:41:52.161 ERROR sequencer  ABORT reason=VALVE_NOT_CONFIRMED step=fuel_prevalve_open
```

- [x] Pull the raw frames of the pad link
- [x] Compare with the bench recording of March
- [ ] Decide whether the window is wrong or the path is
- [ ] Repeat the terminal count with the fix

<!-- internal: the range safety report has the same table -->
--- jonas.weber
The frames left the valve controller on time. They waited in the telemetry gateway, behind a burst of 4,000
camera keyframes: one queue for everything, first in, first out.
--- +mira.okafor
That fits. The burst starts at T-8.1 s, when the pad cameras switch to 60 fps.
--- +jonas.weber
So neither the valve nor the window is wrong. Valve confirmations need a lane of their own in the gateway.
--- priya.nair
I can reproduce it on the bench with a synthetic camera burst:

```
$ gatewayctl replay wdr-2026-05.pcap --burst camera=4000
valve.FV-2  p50=91ms p99=843ms max=851ms
```

With the priority lane of !34 the 99th percentile is 96 ms.
--- +mira.okafor
Great. Please put the replay file into the regression set, so that this never comes back.
--- ama.boateng
Range safety asks that we do **not** widen the 500 ms window to get around this. Agreed from our side.
--- mira.okafor internal
The customer saw the abort live. Communication goes through Luc, please do not answer mails about it
yourselves.

## issue: Telemetry dashboard shows stale altitude after a reconnect
iid: 13
author: sofia.marques
labels: priority::2, component::console
state: opened

After the websocket reconnects, the altitude tile keeps the last value from before the drop, without any sign
that it is old. Yesterday it read **12,480 m** for 40 seconds while the vehicle was at 14,900 m.

### Steps
1. Open the flight dashboard and start the playback of flight 7.
2. Switch the network off for ten seconds, then on again.
3. Watch the altitude: it resumes only when the value *changes by more than the dead band*.

### Expected
A value older than two seconds is greyed out and shows its age.

/label ~"component::console"
--- hana.sato
The server sends differences only. After a reconnect the client needs a full snapshot first; it asks for one,
but the answer is thrown away because its sequence number is lower than the last one seen.

```ts
if (message.seq <= this.lastSeq) return; // drops the snapshot
```
--- +sofia.marques
Then the fix is to reset `lastSeq` when the socket opens?
--- +hana.sato
Yes, and to grey the tile out until the snapshot is there. !35 does both.
--- li.wei
我在模拟器上也看到了同样的问题：重连以后高度不更新，速度却正常。
(Same on the simulator: altitude is stuck after the reconnect, velocity is fine.)
--- luc.tremblay
Operators want the age in the tile itself, not in a tooltip. "12,480 m · 38 s old" would have saved us. 👍

## issue: Decide how long raw telemetry is kept
iid: 14
author: luc.tremblay
labels: needs::decision, component::telemetry
state: closed

Raw frames are 2.1 TB a flight and the archive is 71 % full. We have to decide what is kept, where and for
how long.

1. **Everything for ever**: a second archive rack every nine months.
2. **Raw for 180 days, then decoded channels only**: loses the option to decode again with a fixed decoder.
3. **Raw for 180 days on disk, then tape**: slow to get back (about four hours), but nothing is lost.
--- tomasz.zielinski
We decoded old raw frames again twice last year, both times because of a decoder bug that was months old.
Option 2 would have cost us the anomaly investigation of flight 5.
--- +luc.tremblay
That is a strong argument against 2. What does tape cost?
--- +tomasz.zielinski
About 6 € per terabyte and copy. Two copies of a flight are less than a lunch.
--- d.sokolov
Восстановление с ленты проверяли в апреле: 3 часа 50 минут на один полёт, контрольные суммы совпали.
(Restore from tape was tried in April: 3 h 50 min for a flight, checksums matched.)
--- luc.tremblay
**Decision:** option 3. 180 days on disk, two copies on tape, one of them off site. Closing; Tomasz opens
the follow-up.

## change: Give valve confirmations their own lane in the telemetry gateway
iid: 34
author: jonas.weber
labels: priority::1
state: merged
closes: 1
files: src/gateway/queue.rs, src/gateway/lanes.rs, tests/lanes_test.rs
commits: Split the gateway queue into lanes, Replay the rehearsal burst, Name the lanes in the metrics

The gateway had one queue for all channels, so a camera burst delayed valve confirmations by up to 850 ms.

Now there are three lanes: `safety`, `control` and `bulk`. A lane is served before every lower one; `bulk`
keeps at least 10 % of the link so that it cannot starve.

Closes #12

| lane | p50 | p99 before | p99 after |
|---|---:|---:|---:|
| safety | 88 ms | 843 ms | 96 ms |
| bulk | 120 ms | 310 ms | 355 ms |
--- priya.nair @ src/gateway/lanes.rs:41 resolved
What happens to a frame whose channel is in no lane? I would rather fail at start-up than guess.
--- +jonas.weber
Done: an unknown channel is now a configuration error that names the channel.
--- mira.okafor @ src/gateway/queue.rs:42
Strict priority can starve `bulk` when safety floods. Is the 10 % share enforced by time or by bytes?
--- +jonas.weber
By bytes over 100 ms. I added a test that floods `safety` and watches `bulk` make progress.
--- ama.boateng
Replay of the rehearsal is green on the bench: no abort in 50 runs. 🚀
--- +mira.okafor
Then let us merge it today and repeat the terminal count on Thursday.

## change: Ask for a snapshot after a reconnect and grey stale tiles out
iid: 35
author: hana.sato
labels: priority::2, component::console
state: opened
closes: 2
files: web/src/socket.ts, web/src/tiles/AltitudeTile.ts, web/tests/reconnect_test.ts
commits: Reset the sequence number when the socket opens, Show the age of stale values

- `lastSeq` is reset when the socket opens, so the snapshot is no longer dropped
- a tile without news for two seconds turns grey and shows the age of its value
- the age counts in the tile, not in a tooltip

Closes #13
--- sofia.marques @ web/src/socket.ts:41 resolved
If the snapshot itself gets lost we wait for ever. Ask again after a second?
--- +hana.sato
Good point, it now asks up to five times and then shows "no data".
--- li.wei @ web/src/tiles/AltitudeTile.ts:42
两秒对遥测链路切换来说太短了，建议做成可配置的。(Two seconds is short during a hand-over; make it configurable?)
--- luc.tremblay
Tried it with two operators. Both noticed the grey tile within a second. Much better than before.
"""

LAUNCHPAD: Final = r"""
=== launchpad | type::bug
## issue: Umbilical arm sensor reads closed while the arm is open
state: opened

The limit switch of the umbilical arm sticks in the cold. It reads closed until the sun has warmed the tower.
--- tomasz.zielinski
Moved here from the rocket project, it is a matter of the pad hardware.

## issue: Replace the pad lighting controller

The controller of the pad lights is out of production. We have two spares.

## issue: Water deluge valve needs a second position switch

One switch cannot tell "closed" from "wire broken".

## change: Read the umbilical switch twice before believing it
files: pad/umbilical.py

Two readings 50 ms apart have to agree.
--- tomasz.zielinski
Works at -10 °C in the cold chamber.
"""
