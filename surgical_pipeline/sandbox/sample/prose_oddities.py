# ruff: noqa: RUF001 - people write in several languages and scripts
"""The odd stories that are written out, and what was seen during a long night."""

from __future__ import annotations

from typing import Final

ODD_STORIES: Final = r"""
=== umbilical |
## issue: Umbilical arm sensor reads closed while the arm is open
labels: component::ground, type::bug
state: closed

The limit switch of the umbilical arm sticks in the cold. It reads closed until the sun has warmed the tower.
--- tomasz.zielinski
This is pad hardware. Moving it to acme/launchpad.

=== uplink-replay |
## issue: Command uplink accepts replayed frames within the same second
author: priya.nair
flags: confidential
labels: priority::1, type::bug
state: opened

The counter of the uplink authentication has a resolution of one second. A frame that was recorded from the
air
and sent again **within the same second** is accepted. Confidential until both ground stations are patched.
--- d.sokolov
Confirmed in the lab with a recorded `NOOP`. Nothing that moves hardware was sent.
--- priya.nair internal
The radio supplier knows and keeps quiet until the 1st. Do not mention it in public channels.
--- +mira.okafor internal
Understood. I informed range safety by phone.

=== leaked-password |
## issue: Credentials of the range weather feed were committed to the repository
author: jonas.weber
flags: confidential
state: closed
labels: component::platform

The user name and password of the weather feed stood in `deploy/weather.yml` for two days. They are rotated.
--- jonas.weber
Rotated, history cleaned, the scanner now blocks pushes that contain the pattern.

=== voice-japanese |
## issue: 地上局切替時に音声ループが途切れる
author: hana.sato
labels: component::ground, type::bug

地上局を A から B に切り替えると、管制音声が約 3 秒間途切れます。射点作業中は許容できません。

- [ ] 切替前に両局を同時に接続する
- [x] 録音で再現を確認する
--- li.wei
切换时先建立新的连接再断开旧的，就不会中断。
--- ama.boateng
In English for the record: the voice loop drops for three seconds when we hand over between stations.
Connect the second station before the first one is released.

=== wiring-german |
## issue: Schaltplan der Zündkreise stimmt nicht mit der Verkabelung überein
author: jonas.weber
labels: type::docs, component::flight

Auf Blatt 14 ist der Zündkreis 2 an Klemme X7 gezeichnet, verkabelt ist er an **X9**. Beim Messen hätte das
beinahe zu einem Kurzschluss geführt.
--- sofia.marques
Corregido en el plano, revisión F. Falta imprimirlo para la torre.
--- tomasz.zielinski
Wydrukowane i powieszone na wieży, stara wersja zniszczona. ✅

=== columnar |
## change: Draft: Try a columnar format for decoded telemetry
labels: component::telemetry
files: src/archive/columnar.py

Not to be merged. An experiment: decoded channels in a columnar file, one row group a minute.

- [x] write
- [ ] read
- [ ] compare with what we have
--- tomasz.zielinski
Eleven times smaller than the CSV, and a minute of one channel reads in 4 ms. Promising.

=== fax |
## change: Remove the fax gateway
labels: component::platform, type::maintenance
state: closed
files: src/notify/fax.py

Nobody has sent a fax since 2019.
--- luc.tremblay
Range safety has, last Tuesday. Closing. 😅

=== uplink-counter |
## change: Draft: Rotate the uplink counter every millisecond
labels: component::flight
files: src/uplink/counter.rs

See the linked report. Needs the radio firmware 4.2.

=== csv-export |
## issue: Emoji and odd characters in event names break the export 🚀💥
labels: component::platform, type::bug

Event names such as `🚀 lift-off`, `Größe "XL"`, `a\b`, `O'Brien; DROP TABLE flights` and `naïve café` end
up broken
in the CSV export. Zero-width characters (like here:<zero-width-space>) vanish altogether.

```
UnicodeEncodeError: 'latin-1' codec can't encode character '\U0001f680' in position 0: ordinal not in
range(256)
  File "/srv/export/csv_writer.py", line 88, in write_row
    handle.write(row.encode("latin-1"))
```
--- li.wei
编码应该统一用 UTF-8，文件开头不要写 BOM。

## change: Write exports as UTF-8
labels: component::platform
files: src/export/csv_writer.py, tests/csv_writer_test.py
closes: 1
state: merged

All exports are UTF-8 without a byte order mark. Closes the report about broken event names.
--- priya.nair @ src/export/csv_writer.py:41 resolved
Please write the line ending explicitly, spreadsheets on the range computers are picky.
--- +li.wei
好的，已经改成 `\r\n`。
"""

NIGHT_SHIFT: Final = (
    "All 480 channels nominal, lag below 90 ms.",
    "Frame counter of channel T112 jumped by 3, nothing lost according to the recorder.",
    "Station B took over for four minutes while A was pointed at the sun. No gap.",
    "Gateway memory at 1.2 GB, growing by about 6 MB an hour. Keeping an eye on it.",
    "Two retransmissions on the microwave link, it rains at the relay.",
    "The archive node rotated its file on time, checksum verified.",
    "Voice loop check with range control, five by five.",
    "Temperature of rack 3 at 31 °C, fan raised by one step.",
    "Time server offset 12 µs, within limits.",
    "Replayed the last ten minutes on the second console: identical values.",
    "A moth on the lens of camera 2. Not a debris event. 🦋",
    "Coffee machine in hall 2 is out of order again; unrelated, but noted.",
    "Short dip of the downlink margin to 4.1 dB during an aircraft passage.",
)
