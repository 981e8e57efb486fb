# ruff: noqa: RUF001 - people write in several languages and scripts
"""Prose about the console: what operators look at, hear and type into."""

from __future__ import annotations

from typing import Final

SCRIPT: Final = r"""
=== colours | component::console
## issue: Alarm colours cannot be told apart with red-green colour blindness
labels: type::bug, priority::2

Two of our eleven operators cannot distinguish nominal green from alarm red on the overview.
--- sofia.marques
Add a shape: circle, triangle, square. Colour alone must never carry the meaning.
--- +hana.sato
And use the palette of the airspace displays, it was made for that.
## issue: Dark mode leaves white flashes between pages
labels: priority::3

At night each change of page is a flash of white. Painful in the dark control room.
--- luc.tremblay
The background is set by script after the first paint. Put it into the page itself.
## issue: Contrast of greyed-out values is below the guideline

2.9 : 1 on the overview, 4.5 : 1 is required.
## change: Shapes and a colour-blind safe palette for alarm states
closes: 1
files: web/src/theme/palette.ts, web/src/tiles/Alarm.ts
--- sofia.marques @ web/src/theme/palette.ts:41 resolved
Orange and yellow are too close on the old projectors.
--- ama.boateng
Tested with both operators: no mix-up in forty trials.
## change: Set the dark background before the first paint
closes: 2
files: web/src/shell.ts

=== keyboard | component::console
## issue: Keyboard shortcut for hold is next to the one for abort
labels: priority::1, type::bug

`F8` is hold and `F9` is abort. Yesterday somebody with gloves pressed both.
--- ama.boateng
Abort must need two hands: a guarded key and a confirmation on a second console.
--- mira.okafor
Until then we take abort off the keyboard entirely.
## issue: Focus is lost after closing a dialog

After a dialog the focus jumps to the top of the page, and the next shortcut goes nowhere.
## change: Remove abort from the keyboard map
closes: 1
files: web/src/keys.ts, docs/shortcuts.md
--- ama.boateng
Thank you. Signed off by range safety.
## change: Return focus to where it was when a dialog closes
closes: 2
files: web/src/dialog.ts

=== plots | component::console
## issue: Plots freeze the browser with more than 200,000 points
labels: type::bug

Zooming out to the whole flight draws every sample. The tab needs 11 s and 2.4 GB.

```
[Violation] 'requestAnimationFrame' handler took 10872ms
```
--- hana.sato
A plot that is 1,600 pixels wide needs 3,200 points: minimum and maximum for each pixel column.
## issue: Two plots side by side do not share their time axis
labels: type::feature

Comparing chamber pressure and valve position means zooming twice to the same second.
--- jonas.weber
Link them by default, unlink with a click.
## issue: Exported plot has no axis labels

The picture in the review report cannot be read without asking its author.
## change: Draw minimum and maximum for each pixel column
closes: 1
files: web/src/plot/decimate.ts, web/tests/decimate_test.ts
--- li.wei @ web/src/plot/decimate.ts:41
NaN 应该断开曲线，而不是连成直线。(NaN should break the line.)
--- +hana.sato
It does now, with a test.
## change: Shared time axis for plots
closes: 2
files: web/src/plot/axis.ts

=== map | component::console
## issue: Map tiles of the downrange area are missing offline
labels: type::bug

The control room has no internet during a count. Beyond 200 km the map is grey.
--- tomasz.zielinski
Bring the tiles of the corridor along: zoom levels 4 to 11 are 3 GB.
## issue: Impact ellipse is drawn in the wrong projection

At 60° north it is half as wide as it should be.
--- d.sokolov
Ellipse считается в метрах, а рисуется в градусах. (Computed in metres, drawn in degrees.)
## change: Ship map tiles of the flight corridor with the console
closes: 1
files: deploy/tiles.yml, web/src/map/source.ts
## change: Project the impact ellipse before drawing
closes: 2
files: web/src/map/ellipse.ts
--- ama.boateng
Compared with the range's own display, they agree within a line's width.

=== units | component::console
## issue: Pressure is shown in bar here and in psi there
labels: type::bug

The propellant page uses bar, the engine page psi. During the debriefing we compared the two for ten minutes.
--- sofia.marques
One setting for the whole session, and the unit always beside the number.
## issue: Decimal comma of the German locale breaks the set-point input
labels: priority::2

`4,5` is read as `45`. The server refuses it, luckily, but only because 45 is out of range.
--- jonas.weber
Das hätte schiefgehen können. Parse strictly and show what was understood before sending.
## issue: Translate the console into French for the new site
labels: type::feature

The crew of the new launch site works in French. About 640 texts, most of them short.
## change: Strict set-point parsing with confirmation
closes: 2
files: web/src/setpoint.ts, web/tests/setpoint_test.ts
--- jonas.weber @ web/src/setpoint.ts:42 resolved
Reject mixed separators as well: `1.234,5` and `1,234.5` both.
## change: One unit system for each session
closes: 1
files: web/src/units.ts

=== shift-log | component::console
## issue: Handover notes are lost when the browser is closed
labels: type::bug

An operator typed for twenty minutes, the tab crashed, the note was gone.
--- luc.tremblay
Save a draft every few seconds, on the server, not in the browser: the next operator sits somewhere else.
## issue: Shift log entries should link to the telemetry of that minute
labels: type::feature

"Pressure spike, see plot" helps nobody three weeks later.
--- priya.nair
Click on the time of an entry, and every plot jumps there.
## change: Keep drafts of handover notes on the server
closes: 1
files: src/shiftlog/drafts.py, src/shiftlog/schema.sql
--- luc.tremblay @ src/shiftlog/drafts.py:41 resolved
Two people editing the same note: who wins?
--- +tomasz.zielinski
Nobody: the second one is told that there is a newer version.

=== alarm-sound | component::console
## issue: Alarm sound stays silent after the computer wakes from sleep
labels: type::bug, priority::1

The browser suspends audio until somebody clicks. A red alarm at 03:10 went unheard for six minutes.
--- sofia.marques
Play a quiet test tone every minute and show a banner when it fails.
## issue: Operators acknowledge alarms without reading them
labels: needs::decision

With 300 alarms in an hour people click everything away.
--- ama.boateng
Group them by cause. One pump that trips should be *one* alarm, not forty.
--- +luc.tremblay
Agreed in the review: grouping first, then we look at the numbers again.
## issue: Volume cannot be set for each console

The console beside the voice desk is too loud, the one at the door too quiet. There is one volume for all.
## change: Watch the audio path and warn when it is silent
closes: 1
files: web/src/audio/watch.ts, web/tests/audio_test.ts
## change: Group alarms by their common cause
closes: 2
files: src/alarms/grouping.py, config/causes.yml
--- mira.okafor @ config/causes.yml:40
Who maintains this table when a pump is added?

=== video-sync | component::console
## issue: Video runs 1.5 seconds behind the telemetry
labels: type::bug

We see the valve position change before the valve moves. In the anomaly review that caused an hour of
confusion.
--- hana.sato
The encoder buffers 45 frames. Stamp each frame with ground time and delay the *plots* during playback.
## issue: Playback cannot step frame by frame
labels: type::feature

For the anomaly review we need single frames. The player can only jump by seconds.
--- priya.nair
Comma and full stop for one frame back and forth, as in every editor.
## change: Stamp video frames with ground time
closes: 1
files: src/video/stamp.py, web/src/player.ts
--- hana.sato
Measured with a flashing light that is also a telemetry channel: 8 ms apart. 🎥
## change: Step through video frame by frame
closes: 2
files: web/src/player.ts
"""
