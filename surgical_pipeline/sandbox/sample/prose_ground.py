# ruff: noqa: RUF001 - people write in several languages and scripts
"""Prose about the ground: antennas, stations, weather, power, the pad."""

from __future__ import annotations

from typing import Final

SCRIPT: Final = r"""
=== antenna-pointing | component::ground
## issue: Antenna overshoots when it follows a pass near the zenith
labels: type::bug

Above 85° elevation the azimuth axis would have to turn faster than it can. We lose the signal for 20 seconds.
--- d.sokolov
Turn early and accept a pointing error of half a beam width: `program track` with a flattened path.
## issue: Pointing model is off by 0.3 degrees after the motor exchange

Since the elevation motor was exchanged the beacon is found 0.3° below where the model expects it. With a beam
width of 0.4° that costs us half of the signal.
--- tomasz.zielinski
A new encoder offset. Sun track on the next clear day, then fit the model again.
## issue: Wind above 60 km/h should stow the antenna by itself
labels: type::feature, priority::2

Somebody has to notice the wind and press the button, also at four in the morning.
## change: Flatten the path of passes near the zenith
closes: 1
files: src/antenna/track.py, tests/track_test.py
--- d.sokolov @ src/antenna/track.py:41 resolved
Check the acceleration limit too, not only the speed.
## change: Stow the antenna when the wind is too strong
closes: 3
files: src/antenna/stow.py, config/antenna.yml
--- ama.boateng
Never during a count without asking, please.
--- +tomasz.zielinski
Right: with a count running it warns and waits for an operator.

=== station-handover | component::ground
## issue: Data of both stations is stored twice during a handover
labels: type::bug

For the seconds in which both stations see the vehicle every sample is in the archive twice.
--- hana.sato
Deduplicate by the frame counter of the vehicle, it is unique for a day.
## issue: Pass schedule ignores the time zone of the second station
labels: priority::1

The station in Sweden was booked one hour late when daylight saving time began.
--- luc.tremblay
UTC everywhere, local time only on the display. No exceptions.
## change: Deduplicate frames of overlapping stations
closes: 1
files: src/stations/merge.py, tests/merge_test.py
--- li.wei @ src/stations/merge.py:42
帧计数器溢出后怎么办？(What about counter overflow?)
--- +hana.sato
The day boundary is part of the key.
## change: Store pass times in UTC only
closes: 2
files: src/schedule/passes.py, src/schedule/schema.sql

=== weather | component::ground
## issue: Lightning warning arrives ten minutes after the strike
labels: priority::1, type::bug

The feed is polled every ten minutes. The rule says that the pad is evacuated within five.
--- ama.boateng
Subscribe to the push feed of the weather service, and alarm when it has been silent for a minute.
## issue: Upper-level wind limits are checked by hand

A table is printed and compared with a ruler. We can compute that.
--- priya.nair
The sounding comes as text every three hours; the load limits are in the repository already.
## issue: Forecast page shows yesterday's data without saying so

When the forecast could not be loaded the page shows the one before, with no date on it.
## change: Subscribe to the lightning push feed
closes: 1
files: src/weather/lightning.py, config/weather.yml
--- ama.boateng
First storm yesterday: warning after eleven seconds. ⚡
## change: Check wind loads against the sounding automatically
closes: 2
files: src/weather/loads.py, tests/loads_test.py
--- priya.nair @ src/weather/loads.py:41 resolved
Interpolate between the levels, they can be 500 m apart.

=== voice-loop | component::ground
## issue: Echo on the flight director loop with more than twelve participants
labels: type::bug

From the thirteenth headset on everybody hears themselves 300 ms later.
--- jonas.weber
The mixer runs out of slots and falls back to sending the sum of everything.
## issue: Record voice loops together with telemetry
labels: type::feature

After the abort it took us a day to find out who said "go" and when.
--- luc.tremblay
Works council agrees, as long as recordings are deleted after 90 days.
## change: Mix minus own voice for any number of participants
closes: 1
files: src/voice/mixer.rs
## change: Record voice loops with ground time
closes: 2
files: src/voice/record.py, docs/voice.md
--- luc.tremblay @ docs/voice.md:41 resolved
Please mention the 90 days and who may listen.

=== pad-cameras | component::ground
## issue: Camera 4 overexposes the first second of ignition
labels: type::bug

The picture is white exactly when we want to see the start of the flame.
--- sofia.marques
Fixed exposure from T-3 s on. Automatic exposure is too slow by design.
## issue: Dust on the lens is noticed only on launch day

Three of eight pad cameras were dusty at the last count, and nobody may go to the pad after T-3 h.
--- hana.sato
Compare the sharpness with a reference picture every morning and open a ticket when it drops.
## change: Switch pad cameras to fixed exposure before ignition
closes: 1
files: src/cameras/exposure.py, config/cameras.yml
--- sofia.marques
Hot fire 9 looks beautiful, you can count the shock diamonds.
## change: Daily sharpness check of all cameras
closes: 2
files: src/cameras/sharpness.py

=== power | component::ground
## issue: Uninterruptible power supply reports 100 % until it fails
labels: priority::1, type::bug

The battery of rack 2 showed full charge and lasted 40 seconds in the test. Its real capacity is 6 %.
--- tomasz.zielinski
The percentage is computed from the voltage. Only a discharge test tells the truth: monthly, one rack at a
time.
## issue: Generator start is not part of the countdown checklist
labels: type::docs

The diesel generator was still off when the grid flickered at T-2 h. The checklist does not mention it at all.
--- mira.okafor
Add it at T-4 h, with the fuel level in litres and not in "bars".
## issue: Power consumption of the server hall is not recorded

We cannot say how much power the hall takes during a count, and the new racks need a figure.
## change: Monthly discharge test with a report
closes: 1
files: src/power/discharge.py, docs/power.md
--- tomasz.zielinski @ src/power/discharge.py:41
Abort the test when the other rack is on battery, too.
## change: Generator check in the countdown checklist
closes: 2
files: docs/checklist.md

=== gas-sensors | component::ground
## issue: Hydrogen sensor alarms when the forklift is charged next to it
labels: type::bug

Charging batteries emit hydrogen. The sensor is right, the place is wrong.
--- ama.boateng
Do not raise the limit. Move the charger.
## issue: Gas sensors need a bump test before every loading
labels: priority::2, type::feature

The procedure is on paper and nobody can say when sensor 11 was last tested.
--- d.sokolov
Датчик 11 не проверяли с февраля. (Sensor 11 has not been tested since February.)
## change: Block propellant loading without a recent bump test
closes: 2
files: src/loading/interlocks.py, tests/interlocks_test.py
--- ama.boateng @ src/loading/interlocks.py:42 resolved
"Recent" is 24 hours. Put it into the configuration, and log who overrides it.

=== network | component::ground
## issue: Multicast storm between the control room and the pad
labels: type::bug, priority::1

A visitor's switch closed a loop. For 90 seconds 98 % of the pad link was one repeated packet.

```
%SW_MATM-4-MACFLAP_NOTIF: Host 02:1f:aa in vlan 40 is flapping between port Gi1/0/3 and port Gi1/0/9
```
--- jonas.weber
Storm control and loop protection on every access port, and visitors go into a network of their own.
## issue: Firewall drops idle telemetry connections after an hour
labels: type::bug

During a long hold nothing is sent, the firewall forgets the connection and the client never notices.
--- li.wei
启用 TCP keepalive，每 60 秒一次。(TCP keep-alive every 60 seconds.)
## issue: Document the addresses of all pad devices
labels: type::docs

The list of addresses is a photo of a whiteboard from 2023.
## change: Keep-alive and a read deadline for telemetry connections
closes: 2
files: src/gateway/socket.rs, tests/idle_test.rs
--- jonas.weber @ src/gateway/socket.rs:41 resolved
The deadline has to be longer than the longest silence of a healthy link.
## change: Loop protection on access ports
closes: 1
files: deploy/switches.yml
"""
