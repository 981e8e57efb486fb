# ruff: noqa: RUF001 - people write in several languages and scripts
"""Prose about telemetry: from the radio frame to the archive."""

from __future__ import annotations

from typing import Final

SCRIPT: Final = r"""
=== frame-sync | component::telemetry
## issue: Frame synchroniser loses lock when the signal fades
labels: type::bug, priority::2

Below a margin of 3 dB the synchroniser drops out of lock and needs up to **11 frames** to find the marker
again.
The supplier promises four.

```
09:14:22.101 WARN framesync state=LOCK->SEARCH margin=2.8dB
09:14:23.207 INFO framesync state=SEARCH->LOCK after=11 frames
```
--- d.sokolov
It demands an exact marker while searching. With two tolerated bit errors it is back after three frames.
--- +priya.nair
But then it also locks onto noise about once an hour. Verify against a second marker before declaring lock.
## issue: Inverted bit stream is not recognised after a polarity flip

When the receiver flips polarity every bit is inverted. The marker `1ACFFC1D` then reads `E53003E2` and is
ignored.
--- hana.sato
Search for both markers and invert on the fly. Costs nothing.
## change: Tolerate bit errors while searching for the sync marker
closes: 1
files: src/framesync/search.rs, tests/framesync_test.rs

Up to two wrong bits while searching, confirmed by the next marker at the expected distance.
--- d.sokolov @ src/framesync/search.rs:41 resolved
Count ones of the XOR instead of the loop, there is an instruction for it.
--- priya.nair
Two days on the noisy antenna: no false lock, and back after three frames on average.
## change: Recognise inverted streams by their complement marker
closes: 2
files: src/framesync/polarity.rs

--- mira.okafor
Please log the flip, the radio people want to know when it happens.

=== packet-decoder | component::telemetry
## issue: Decoder reads little-endian floats of the new flight computer as garbage
labels: type::bug, priority::1

The new flight computer sends floats in little-endian order; the decoder assumes network order. Tank pressure
shows as `4.6e-41` bar.
--- li.wei
字节序应该写进通道定义，而不是写死在解码器里。(Byte order belongs in the channel definition.)
## issue: Unknown packet identifiers fill the log with one line per packet
labels: type::maintenance

Since the camera controller was added we log 900 warnings a second about `APID 0x2F1 unknown`.
--- tomasz.zielinski
Count them per identifier and log a summary once a minute.
## issue: Packets that span two frames are cut when the second frame is missing

A lost frame leaves half a packet in the buffer; the next packet is appended to it and both are unreadable.
--- d.sokolov
The first-header pointer of the next frame tells where a new packet begins. We ignore it.
## change: Take byte order and width from the channel definition
closes: 1
files: src/decoder/fields.rs, config/channels.yml

No default any more: a definition without a byte order is refused at start-up.
--- jonas.weber @ src/decoder/fields.rs:42
Does this change old recordings? They were all big-endian.
--- +li.wei
Old definitions are versioned, so they keep `big`.
## change: Resynchronise on the first-header pointer after a lost frame
closes: 3
files: src/decoder/packets.rs, tests/packets_test.rs

Drops the half packet, counts it and goes on at the next header.

=== time-correlation | component::telemetry
## issue: Onboard clock drifts 14 ms an hour against ground time
labels: type::bug

Events of the vehicle and of the ground are 160 ms apart at the end of a long countdown. The correlation is
done
once, at power-on.
--- hana.sato
Correlate every minute and fit a line through the last ten pairs, then the error stays below a millisecond.
## issue: Leap second table is two years old

The table compiled into the time library ends in 2024. No leap second has been added since, but we only
know by luck.
--- luc.tremblay
Let the build fail when the table expires in less than six months.
## change: Correlate onboard and ground time continuously
closes: 1
files: src/time/correlate.rs

A sliding fit over ten minutes, outliers beyond three sigma left out. The residual is a telemetry channel
itself.
--- hana.sato @ src/time/correlate.rs:41 resolved
What happens when the onboard computer reboots and its counter starts from zero?
--- +d.sokolov
A jump of more than a second starts a new fit; the old one stays valid for the old boot counter.

=== backpressure | component::telemetry
## issue: Telemetry lag grows to minutes when one subscriber is slow
labels: type::bug, priority::1

One laptop on the visitors' wireless network is enough: the gateway waits for the slowest subscriber and every
console falls behind. At 10:42 the lag was **3 min 20 s**.
--- ama.boateng
A slow reader must never hold up flight control. Drop its oldest samples, or drop the reader.
--- +jonas.weber
Oldest samples first, and after ten seconds of overflow we close the connection with a reason.
## issue: Subscribers cannot ask for a reduced rate
labels: type::feature

The trend display needs one sample a second and gets two hundred.
--- sofia.marques
Minimum, maximum and last per interval, please, not just every 200th sample. Otherwise spikes are invisible.
## change: Bounded queue for each subscriber, oldest samples dropped first
closes: 1
files: src/gateway/subscriber.rs, tests/slow_reader_test.rs

Each subscriber has 4,096 slots. What is dropped is counted and shown to the operator as "gap".
--- mira.okafor @ src/gateway/subscriber.rs:43 resolved
Is the count per channel? A gap in one channel should not grey out the others.
## change: Decimation with minimum, maximum and last value
closes: 2
files: src/gateway/decimate.rs

=== archive | component::telemetry
## issue: Archive queries over a whole flight time out after 30 seconds
labels: type::bug

Reading one channel of an eight-hour flight scans every file of the day.

| span | files opened | duration |
|---|---:|---:|
| 10 min | 12 | 0.9 s |
| 1 h | 61 | 4.8 s |
| 8 h | 488 | timeout |
--- tomasz.zielinski
There is an index per file but nobody reads it. Keep the minimum and maximum time of all files in one place.
## issue: Compress decoded telemetry on disk
labels: type::feature

Decoded channels compress eleven-fold with delta and zstd. The archive is 71 % full.
--- li.wei
解压速度更重要：操作员不能等。(Decompression speed matters more: operators cannot wait.)
## change: One time index for the whole archive
closes: 1
files: src/archive/index.sql, src/archive/reader.py

Eight hours of one channel now take 1.1 s.
--- luc.tremblay
Finally. The anomaly board will be delighted.
## change: Delta and zstd for files older than a day
closes: 2
files: src/archive/compress.py, tests/compress_test.py
--- tomasz.zielinski @ src/archive/compress.py:41
Verify the checksum of the decompressed data before the original is removed.

=== limits | component::telemetry
## issue: Limit alarms flap when a value sits right on the threshold
labels: type::bug

Battery temperature hovered around 45.0 °C and raised 212 alarms in four minutes.
--- sofia.marques
Hysteresis: raise at 45, clear at 43. And a dwell of three samples before raising.
## issue: Red limits differ between the display and the abort logic
labels: launch-blocker, priority::1

The console shows the chamber pressure in yellow at 71 bar; the abort logic already treats 70 bar as red.
They read
different files.
--- ama.boateng
One source, please. Range safety will audit exactly this.
## issue: Limits should depend on the phase of the flight
labels: type::feature

A tank at 0.2 bar is fine before loading and a catastrophe during ascent.
## change: Hysteresis and dwell for every limit
closes: 1
files: src/limits/state.rs, config/limits.yml
--- sofia.marques @ src/limits/state.rs:42 resolved
Dwell in samples or in milliseconds? The rates differ by a factor of 200.
--- +hana.sato
Milliseconds now.
## change: Display and abort logic read the same limit file
closes: 2
files: config/limits.yml, src/limits/load.rs

The hash of the file is shown on both sides and compared before every count.

=== calibration | component::telemetry
## issue: Wrong calibration polynomial for the spare thermocouples
labels: type::bug

The spare sensors are type K, the polynomial in the database is for type T. At 600 °C that is an error of
38 K.
--- priya.nair
Caught by comparing with the infrared camera. The database entry was copied in 2024.
## issue: Keep every version of a calibration with its dates of validity
labels: type::feature

Old recordings are decoded with today's coefficients. That is wrong as soon as a sensor was exchanged.
## change: Calibrations with dates of validity
closes: 2
files: src/calibration/store.py, src/calibration/schema.sql

A recording is decoded with what was valid at its time.
--- tomasz.zielinski @ src/calibration/store.py:41 resolved
What if two entries overlap? Please refuse that when it is saved, not when it is read.

=== error-correction | component::telemetry
## issue: Corrected symbol count is not reported to the operators
labels: type::feature

Reed-Solomon corrects silently until it cannot. Operators should see the margin shrink *before* frames are
lost.
--- d.sokolov
Количество исправленных символов на кадр: до 16. Выше 12 — жёлтый. (Up to 16 symbols a frame; above 12 is
yellow.)
## issue: CRC errors on the microwave link whenever it rains
labels: component::ground

About one frame in 4,000 fails its checksum during rain, none when it is dry.
--- ama.boateng
The waveguide has a leak. Somebody put tape on it in January.
## change: Publish corrected symbols as a channel of their own
closes: 1
files: src/fec/report.rs
--- hana.sato
Nice to have the trend: you can see the aircraft fly through the beam.
"""
