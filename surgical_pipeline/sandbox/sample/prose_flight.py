# ruff: noqa: RUF001 - people write in several languages and scripts
"""Prose about the vehicle: guidance, engines, tanks, recovery."""

from __future__ import annotations

from typing import Final

SCRIPT: Final = r"""
=== gyro-bias | component::flight
## issue: Gyroscope bias estimate jumps after the transfer to internal power
labels: type::bug, priority::2

At the moment the vehicle switches to its batteries the bias estimate of axis Z jumps by 0.04 °/s and needs
two
minutes to settle. The terminal count leaves us 90 seconds.
--- d.sokolov
The supply voltage drops by 1.8 V, and the sensor has a voltage dependence that the filter does not know.
--- +priya.nair
Freeze the estimate for two seconds around the transfer. Simple and safe.
## issue: Redundant inertial units vote with stale samples

When one unit is late, the voter compares its *previous* sample with fresh ones of the others and rejects a
healthy unit.
--- mira.okafor
Compare only samples with the same time tag; a missing one abstains.
## change: Freeze the bias filter during power transfer
closes: 1
files: src/nav/bias.rs, tests/bias_test.rs
--- d.sokolov @ src/nav/bias.rs:41 resolved
The flag comes from the sequencer by telemetry and may be late. Use the measured voltage as well.
## change: Voter compares samples of equal time tags only
closes: 2
files: src/nav/voter.rs

=== gps-dropout | component::flight
## issue: Satellite navigation drops out for nine seconds at max-Q
labels: type::bug

Every flight so far lost the fix between T+62 s and T+71 s. The inertial solution drifts by 40 m meanwhile.
--- priya.nair
The roll manoeuvre turns the antenna to the ground. A second antenna on the opposite side would see the sky.
## issue: Receiver accepts a fix from four satellites in one line

The dilution of precision was above 20 and the position 600 m off, still the filter took it at full weight.
--- hana.sato
Weight by the reported covariance and reject anything above 6.
## issue: Spoofed position in the test hall confuses the simulator

The repeater in the hall sends the signal of the roof with 80 ns delay.
## change: Weight navigation fixes by their covariance
closes: 2
files: src/nav/fusion.rs
--- mira.okafor
Replay of flight 6: maximum error 12 m instead of 41 m.
## change: Switch to the opposite antenna while rolling
closes: 1
files: src/nav/antenna_select.rs, docs/antennas.md
--- priya.nair @ src/nav/antenna_select.rs:42
Hysteresis, or it toggles when the vehicle wobbles around 90°.

=== combustion | component::flight
## issue: Chamber pressure oscillates at 480 Hz during throttle-down
labels: priority::1, launch-blocker

Between 62 % and 58 % thrust the chamber pressure oscillates with ±4 bar at 480 Hz. It stops below 55 %.
--- ama.boateng
First longitudinal mode of the chamber. Pass through that band quickly and do not stay in it.
--- +mira.okafor
The throttle table stays at 60 % for six seconds. We can move that step to 52 %.
## issue: High-speed pressure channel is sampled below twice its frequency

We sample at 800 Hz what oscillates at 480 Hz; the plot shows a slow wave at 320 Hz that does not exist.
--- hana.sato
エイリアシングですね。2 kHz 以上で記録しましょう。(Aliasing. Record at 2 kHz or more.)
## change: Skip the unstable throttle band
closes: 1
files: config/throttle.yml, src/engine/throttle.rs
--- ama.boateng
Hot fire on Friday: no oscillation above ±0.6 bar.
## change: Record chamber pressure at 4 kHz with an anti-aliasing filter
closes: 2
files: config/channels.yml

=== separation | component::flight
## issue: Stage separation is confirmed by one switch only
labels: type::bug

If the single breakwire fails, the second stage never ignites although the stages are apart.
--- priya.nair
Combine breakwire, axial acceleration and the lost data link: two of three.
## issue: Separation camera starts 400 ms too late

The interesting part is over before the first frame is written.
--- sofia.marques
Record into a ring buffer from T-5 s and keep the last two seconds before the event.
## issue: Pyro bridge resistance is measured at the wrong temperature

The acceptance limit is for 20 °C; on the cold pad every bridge is out of limits.
## change: Two-out-of-three confirmation of separation
closes: 1
files: src/sequencer/separation.rs, tests/separation_test.rs
--- mira.okafor @ src/sequencer/separation.rs:41 resolved
What is the state when only one of the three reports within the window?
--- +priya.nair
`UNCONFIRMED`; after 1.5 s the sequencer falls back to the timer.
## change: Ring buffer for the separation camera
closes: 2
files: src/video/ring.py

=== propellant | component::flight
## issue: Liquid oxygen level reads low after topping
labels: type::bug

The capacitive probe reads 1.7 % low for about five minutes after topping stops.
--- d.sokolov
Bubbles. The density around the probe is lower until they rise.
## issue: Boil-off estimate ignores the wind

On a windy day we lose 30 % more oxygen than predicted and have to top up in the last hold.
--- li.wei
风速每增加 5 m/s，蒸发率大约增加 8%。
## issue: Helium pressure drops overnight without a visible leak
labels: priority::2

4 bar in nine hours. The leak check with soapy water found nothing.
--- tomasz.zielinski
The temperature fell by 11 K in the same time: that alone explains 3.8 bar. Correct the reading for
temperature first.
## change: Correct tank pressures for temperature in the overnight report
closes: 3
files: src/reports/overnight.py
## change: Boil-off model with wind and sun
closes: 2
files: src/propellant/boiloff.py, tests/boiloff_test.py
--- li.wei @ src/propellant/boiloff.py:41
系数从哪里来？请写明出处。(Where do the coefficients come from? Please cite.)

=== thrust-vector | component::flight
## issue: Nozzle actuator saturates in strong wind shear
labels: type::bug

In the Monte Carlo runs with the October winds the pitch actuator sits at its 6° stop for 1.2 s in 4 % of
the cases.
--- priya.nair
Load relief in the control law: accept a larger attitude error around max-Q.
## issue: Actuator position sensor wraps around at 180 degrees

A jump from +179.9° to -180° in the *raw* angle looks like full speed to the rate limiter.
--- hana.sato
Unwrap before differentiating.
## change: Unwrap raw actuator angles before the rate limiter
closes: 2
files: src/tvc/angle.rs, tests/angle_test.rs
## change: Load relief around maximum dynamic pressure
closes: 1
files: src/control/load_relief.rs
--- d.sokolov @ src/control/load_relief.rs:42 resolved
The gain schedule must be continuous at its borders.

=== recovery | component::flight
## issue: Drogue parachute command is sent twice
labels: type::bug

The barometer and the timer both fire the drogue. The second current pulse hits an open circuit and resets
the bus.
--- ama.boateng
A latch in software, and a fuse that survives it in hardware.
## issue: Landing position message has the longitude without its sign
labels: priority::2

The recovery ship received 4.2° east instead of west and steamed in the wrong direction for twenty minutes.
--- luc.tremblay
They were not amused. 🚢
## issue: Beacon battery lasts 9 hours instead of 48

The recovery beacon of flight 7 went silent after nine hours at sea. Specified are 48.
--- tomasz.zielinski
The receiver part stays on for the whole time although nobody commands it after landing.
## change: Signed coordinates in the landing message
closes: 2
files: src/recovery/message.rs, tests/message_test.rs
--- luc.tremblay
Tested with the ship's own software this time.
## change: Latch the drogue command
closes: 1
files: src/recovery/drogue.rs

=== simulation | component::flight
## issue: Trajectory simulation uses the standard atmosphere in all seasons
labels: type::bug

In January the density at 10 km is 6 % above the model. Predicted and flown trajectory differ by 900 m at
burn-out.
--- hana.sato
Use the sounding of the balloon of the same day, and the model above 30 km.
## issue: Monte Carlo runs are not repeatable

Two runs with the same seed differ, because each thread takes numbers from one shared generator.
--- jonas.weber
A generator for each run, seeded with the number of the run.
## change: One random generator for each Monte Carlo run
closes: 2
files: src/sim/montecarlo.py, tests/montecarlo_test.py
--- jonas.weber @ tests/montecarlo_test.py:2 resolved
Compare the hash of all results, not only the mean.
## change: Read balloon soundings into the atmosphere model
closes: 1
files: src/sim/atmosphere.py
"""
