#!/usr/bin/env python3
"""Writes the PDFs of this folder: `python3 make.py`. Plain Python, no packages; the same bytes on every run.

handbook.pdf      3 pages, an outline, a title; sections, numbers to ask for, words cut at line ends
coffee.pdf        2 pages, no outline: headings by their size alone; error codes
locked.pdf        1 page, encrypted (RC4, 40 bits), user password "open sesame"
cut.pdf           the handbook without its last third: no page tree, no cross-reference table
no-text.pdf       1 page with a drawing, no text
turned.pdf        1 page of three lines, shown turned by 90 degrees
places.pdf        5 pages of two lines and a line that runs upwards, shown turned by 0 to 270 degrees and as a part of
                  a page whose origin isn't its corner; the last isn't turned, but all its lines run upwards
report.pdf        5 pages with a running head, a page number, and on the third a table; two have the same two columns,
                  drawn as they are read and row by row; a picture over a third of the last
cycle.pdf         1 page in a page tree that contains itself
bomb.pdf          2 pages: the first expands to 70 MiB
form-bomb.pdf     1 page with text and a drawing that expands to 70 MiB
slow.pdf          100 pages that share a drawing of millions of steps that draw nothing
hungry.pdf        1 page within the limit for content, with more text objects than fit into memory

Made of coffee.pdf with qpdf 11.3, by `qpdf --static-id --static-aes-iv --encrypt USER owner 256 -- coffee.pdf FILE`
(for RC4: `--allow-weak-crypto`, and `128 --use-aes=n`):
locked-aes256.pdf AES, 256 bits, user password "open sesame"
locked-rc4.pdf    RC4, 128 bits, user password "open sesame"
locked-owner.pdf  AES, 256 bits, opens without a password
locked-scan.pdf   AES as above; a picture in black and white, 200 dpi, of turned.pdf as shown

Printed from hebrew.html by Chromium 156, `chromium --headless --no-pdf-header-footer --print-to-pdf=hebrew.pdf`:
hebrew.pdf        1 page of Hebrew with codes, numbers, brackets and an address in it, and a list
"""

import hashlib
import textwrap
import zlib
from pathlib import Path

HERE = Path(__file__).parent
FONTS = "<</F1 3 0 R/F2 4 0 R>>"


def write(name, objects, root=1, extra="", cut=1.0):
    """`objects` maps numbers to bodies (bytes); they are written in order with a cross-reference table."""
    out, offsets = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", {}
    for number, body in sorted(objects.items()):
        offsets[number] = len(out)
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    start, size = len(out), max(objects) + 1
    out += b"xref\n0 %d\n0000000000 65535 f \n" % size
    for number in range(1, size):
        out += b"%010d 00000 n \n" % offsets[number] if number in offsets else b"0000000000 00000 f \n"
    out += b"trailer\n<</Size %d/Root %d 0 R%b>>\nstartxref\n%d\n%%%%EOF\n" % (size, root, extra.encode(), start)
    (HERE / name).write_bytes(out[: int(len(out) * cut)])


def stream(content, entries=""):
    return b"<</Length %d%b>>\nstream\n%b\nendstream" % (len(content), entries.encode(), content)


def twice(content, entries=""):
    """Compressed two times: what repeats shrinks to almost nothing."""
    packed = zlib.compress(zlib.compress(content, 9), 9)
    return stream(packed, "/Filter[/FlateDecode/FlateDecode]" + entries)


def string(text):
    return "(" + text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)") + ")"


def typeset(blocks):
    """The drawing commands of a page. A block is a title, ("# ", "## "), or a paragraph;
    a paragraph with line breaks keeps them, others are wrapped."""
    y, out = 770, []
    for block in blocks:
        kind, font, size = "", "F1", 11
        for mark, large in (("## ", 14), ("# ", 20)):
            if block.startswith(mark):
                kind, font, size = mark, "F2", large
        text = block.removeprefix(kind)
        lines = text.split("\n") if "\n" in text else textwrap.wrap(text, 84)
        for line in lines:
            out.append(f"BT /{font} {size} Tf 1 0 0 1 72 {y} Tm {string(line)} Tj ET")
            y -= size + 3
        y -= 9
    return "\n".join(out).encode("latin-1")


def document(pages, title=None, outline=()):
    """Objects of a whole document: catalog 1, fonts 3 and 4, from 10 on pages and their content, outline 60, tree 90."""
    objects, kids = {}, [10 + 2 * index for index in range(len(pages))]
    # The tree comes behind the pages, so that a cut file loses it.
    objects[1] = b"<</Type/Catalog/Pages 90 0 R%b>>" % (b"/Outlines 60 0 R" if outline else b"")
    for number, name in ((3, "Helvetica"), (4, "Helvetica-Bold")):
        objects[number] = f"<</Type/Font/Subtype/Type1/BaseFont/{name}/Encoding/WinAnsiEncoding>>".encode()
    for number, content in zip(kids, pages):
        objects[number] = (
            f"<</Type/Page/Parent 90 0 R/MediaBox[0 0 595 842]"
            f"/Resources<</Font{FONTS}>>/Contents {number + 1} 0 R>>"
        ).encode()
        objects[number + 1] = content if content.startswith(b"<<") else stream(content)
    objects[90] = f"<</Type/Pages/Count {len(kids)}/Kids[{' '.join(f'{kid} 0 R' for kid in kids)}]>>".encode()
    if outline:
        first, last = 61, 60 + len(outline)
        objects[60] = f"<</Type/Outlines/First {first} 0 R/Last {last} 0 R/Count {len(outline)}>>".encode()
        for at, (heading, page) in enumerate(outline):
            near = f"/Next {first + at + 1} 0 R" if first + at < last else ""
            near += f"/Prev {first + at - 1} 0 R" if at else ""
            objects[first + at] = (
                f"<</Title{string(heading)}/Parent 60 0 R{near}/Dest[{kids[page - 1]} 0 R/Fit]>>"
            ).encode()
    if title:
        objects[91] = f"<</Title{string(title)}>>".encode()
    return objects


HANDBOOK = [
    [
        "# Travel Policy of Fernhill Instruments",
        "This handbook tells how people at Fernhill Instruments plan, book and settle business trips. It applies to all "
        "offices from 1 March 2024 and replaces the policy of 2019. Questions go to the travel desk, extension 4417.",
        "## 1. Planning a trip",
        "Every trip needs the consent of your team lead before anything is booked. Trips that cost more than 900 euros in "
        "total also need the consent of the finance office, which answers within two working days.",
        "Please book at least 14 days ahead. Later bookings cost us on average a third more, so the reason for a late "
        "booking belongs into the request. Conferences count as trips, even where the organiser pays for the hotel.",
        "Meetings of less than three hours with a single customer are held by video, unless the customer asks\n"
        "for a visit. Whoever travels more than 60 days a year has a yearly talk with the com-\n"
        "pany doctor, Dr. Amara Lindqvist, and gets a second monitor for the home office.",
        "## 2. Trains and flights",
        "Inside the country we travel by train. First class may be booked when the journey takes longer than 3 hours and "
        "30 minutes, otherwise second class. The BahnCard 50 is paid for by the company after the fourth trip of a year.",
        "Flights are allowed where the train would take more than six hours. Economy class is the rule; premium economy "
        "may be booked for flights of more than eight hours. Business class needs the signature of a managing director.",
    ],
    [
        "## 3. Hotels",
        "A night may cost up to 138 euros with breakfast. In Zurich, London and Copenhagen the limit is 175 euros. If no "
        "room can be found below the limit, the travel desk looks for one and confirms the higher price in writing.",
        "Private stays with friends or relatives are thanked for with a gift of up to 25 euros a night, for which we need "
        "a receipt. Rooms are cancelled at the latest 48 hours before arrival, since most hotels charge the full price then.",
        "## 4. Daily allowance",
        "For meals there is a daily allowance and no refund of single bills. It is 28 euros for a full day inside the\n"
        "country and 47 euros abroad. On the days of arrival and departure half of it is paid. Where break-\n"
        "fast is included in the price of the room, 5.60 euros are taken off.",
        "Invitations of customers are outside of the allowance. They need the names of all guests, the occasion and a bill "
        "with the tax number of the restaurant. Tips are refunded up to ten per cent of the bill.",
        "## 5. Cars",
        "A rental car is booked when it is cheaper than train and taxi together, or when equipment of more than 20 kilograms "
        "has to be carried. The standard is the compact class. For private cars we pay 0.34 euros per kilometre, for "
        "motorcycles 0.22 euros. Fines for parking or speeding are paid by the driver.",
        "Electric cars can be charged at the office in Karlsruhe free of charge between 7 in the morning and 8 in the "
        "evening. The parking garage opens with the code that the reception gives out each Monday.",
    ],
    [
        "## 6. Settling the costs",
        "Costs are entered in Quill, our expense tool, within 21 days after the return. Receipts are photographed and "
        "attached; the paper may then be thrown away. After 21 days Quill locks the trip, and only the head of finance, "
        "Tobias Ferreira, can open it again.",
        "Money is paid with the next salary, if the claim is complete by the 10th of the month. Advances of up to 400 euros "
        "are paid on request for trips of more than five days. Foreign currencies are converted at the rate of the day on "
        "which the card was charged.",
        "## 7. When something goes wrong",
        "Everyone on a trip is insured under policy FI-20881 with Nordhaven. In an emergency call the number on the blue "
        "card first, then your team lead. The card is in the pocket of the laptop bag.",
        "A lost or stolen laptop must be reported to the service desk within 24 hours, also on weekends. The disk is then "
        "wiped from afar. Phones are replaced within three working days; until then the travel desk lends out one of its six "
        "spare phones.",
        "Delays of more than three hours are reported in Quill, so that we can claim compensation from the airline. Half of "
        "what the airline pays goes to the traveller.",
    ],
]

COFFEE = [
    [
        "# Bramble 600 Coffee Machine: Operating Manual",
        "The Bramble 600 makes espresso, coffee and hot water for up to 40 people a day. It weighs 11.5 kilograms and must "
        "stand on a level surface with 10 centimetres of free space behind it.",
        "## First use",
        "Fill the tank with 1.8 litres of fresh water and the hopper with at most 350 grams of beans. Switch the machine on "
        "at the back and wait for 95 seconds until the ring of light turns from amber to white. Let two cups of hot water "
        "run through before you make the first coffee.",
        "## Making coffee",
        "Turn the dial to the strength that you like, from 1 to 7, and press the cup. A short press makes an espresso of 30 "
        "millilitres, a long press a coffee of 120 millilitres. The pump works at 9 bar. Milk is frothed by hand with the "
        "steam wand on the left, which is ready when the blue lamp stops blinking.",
        "## Daily care",
        "Empty the drip tray and the grounds box each evening; the box holds the grounds of 18 cups. Wipe the steam wand at "
        "once after use, since dried milk can only be removed with a brush.",
    ],
    [
        "## Error codes",
        "ERR-4711 means that the water tank is empty or not pushed in. Fill it and push it in until it clicks.",
        "ERR-4712 means that the grinder is blocked, mostly by a stone among the beans. Pull the plug, empty the hopper and "
        "turn the grinder backwards with the yellow key.",
        "ERR-5203 means that descaling is overdue. The machine makes ten more cups and then stops until it was descaled.",
        "ERR-6090 means that the boiler is too hot. Switch the machine off for 45 minutes. If the code comes back, call the "
        "service on 0800 55 1190.",
        "## Descaling",
        "Descale the machine after every 320 cups or when ERR-5203 appears. Pour 100 millilitres of Limex into a full tank, "
        "put a bowl of two litres under the spout and press the cup and the steam button together for five seconds. The "
        "programme takes 26 minutes. Never use vinegar: it attacks the seals of the pump.",
        "## Warranty",
        "The warranty lasts 30 months from the day of purchase and covers at most 15,000 cups. It does not cover damage by "
        "lime where the descaling programme was skipped.",
    ],
]

PADDING = bytes.fromhex("28bf4e5e4e758a4164004e56fffa01082e2e00b6d0683e802f0ca9fe6453697a")


def rc4(key, message):
    box, j = list(range(256)), 0
    for i in range(256):
        j = (j + box[i] + key[i % len(key)]) % 256
        box[i], box[j] = box[j], box[i]
    i, j, out = 0, 0, bytearray()
    for byte in message:
        i = (i + 1) % 256
        j = (j + box[i]) % 256
        box[i], box[j] = box[j], box[i]
        out.append(byte ^ box[(box[i] + box[j]) % 256])
    return bytes(out)


def locked(password):
    """The standard security handler, revision 2 (ISO 32000-1, 7.6.3): algorithms 1 to 4."""
    user, identity, permissions = (password + PADDING)[:32], b"0123456789abcdef", -4
    owner = rc4(hashlib.md5(user).digest()[:5], user)
    key = hashlib.md5(user + owner + (permissions & 0xFFFFFFFF).to_bytes(4, "little") + identity).digest()[:5]
    text = typeset(["# The safe", "The combination of the safe on the third floor is kept by Ms. Okonkwo."])
    objects = document([text])
    object_key = hashlib.md5(key + (11).to_bytes(3, "little") + b"\0\0").digest()[:10]
    objects[11] = stream(rc4(object_key, text))
    objects[92] = (
        f"<</Filter/Standard/V 1/R 2/P {permissions}/O<{owner.hex()}>/U<{rc4(key, PADDING).hex()}>>>"
    ).encode()
    return objects, f"/Encrypt 92 0 R/ID[<{identity.hex()}><{identity.hex()}>]"


def places():
    lines = "BT /F1 24 Tf 150 600 Td (A line near the top) Tj ET BT /F2 12 Tf 1 0 0 1 220 250 Tm (and a smaller one) Tj ET"
    upwards = "BT /F1 14 Tf 0 1 -1 0 450 300 Tm (upwards) Tj ET"
    all_upwards = "BT /F1 24 Tf 0 1 -1 0 200 260 Tm (A line beside) Tj ET BT /F1 24 Tf 0 1 -1 0 300 260 Tm (another) Tj ET"
    objects = document([content.encode() for content in [f"{lines} {upwards}"] * 4 + [all_upwards]])
    for index, turn in enumerate((0, 90, 180, 270, 0)):
        boxes = f"/Rotate {turn}/CropBox[100 200 500 700]/MediaBox[-50 -20 545 822]"
        objects[10 + 2 * index] = objects[10 + 2 * index].replace(b"/MediaBox[0 0 595 842]", boxes.encode())
    return objects


LEFT = """The river rises in the hills north of the
town and turns the wheels of three mills
before it comes to the first of its bridges.
Each mill pays a toll of nine coppers for
the water that it takes between the feast
of the ploughs and the first night of frost.
Who takes water outside of these days pays
double, and the miller's name is read out."""

RIGHT = """The lower river belongs to the fishers,
who may lay out their nets from the second
bridge down to where the water turns salt.
No net may be longer than forty paces, and
every seventh day all of them must be dry.
Eels are nobody's: children may take them
by hand in summer, but may not sell them
to the inns along the road to the coast."""

TABLE = [
    ("Station", "Depth", "Salt", "Remarks"),
    ("Upper mill", "1.20 m", "0.1 g", "clear"),
    ("Old bridge", "2.75 m", "0.4 g", "some reed"),
    ("Salt gate", "4.10 m", "18.6 g", "tidal"),
]


def report():
    def show(text, x, y, size=10):
        return f"BT /F1 {size} Tf 1 0 0 1 {x} {y} Tm {string(text)} Tj ET"

    columns = [[show(line, x, 700 - 14 * at) for at, line in enumerate(text.split("\n"))] for x, text in ((72, LEFT), (320, RIGHT))]
    table = [show(cell, 72 + 110 * at, 700 - 16 * row) for row, cells in enumerate(TABLE) for at, cell in enumerate(cells)]
    text = [show(line, 72, 700 - 14 * at) for at, line in enumerate(LEFT.split("\n"))]
    bodies = [
        text,
        columns[0] + columns[1],
        [show("Table 1: what was measured in May", 72, 730)] + table,
        [line for row in zip(*columns) for line in row],
        [show("Figure 1: the salt gate", 72, 380), "q 300 0 0 560 72 100 cm /Picture Do Q"],
    ]
    pages = [
        "\n".join([show("River Authority, yearly report", 72, 800, 9), *body, show(f"{number + 20}", 290, 30, 9)]).encode()
        for number, body in enumerate(bodies, 1)
    ]
    objects = document(pages)
    objects[18] = objects[18].replace(b"/Resources<<", b"/Resources<</XObject<</Picture 50 0 R>>")
    entries = "/Type/XObject/Subtype/Image/Width 2/Height 2/BitsPerComponent 8/ColorSpace/DeviceGray"
    objects[50] = stream(bytes([200, 60, 90, 230]), entries)
    return objects


def main():
    outline = [("Travel Policy", 1), ("Planning a trip", 1), ("Trains and flights", 1), ("Hotels", 2)]
    outline += [("Daily allowance", 2), ("Cars", 2), ("Settling the costs", 3), ("When something goes wrong", 3)]
    handbook = document([typeset(page) for page in HANDBOOK], "Fernhill Travel Policy", outline)
    information = "/Info 91 0 R"
    write("handbook.pdf", handbook, extra=information)
    write("cut.pdf", handbook, extra=information, cut=0.66)
    write("coffee.pdf", document([typeset(page) for page in COFFEE]))
    objects, encryption = locked(b"open sesame")
    write("locked.pdf", objects, extra=encryption)
    write("no-text.pdf", document([b"0.2 0.4 0.6 rg 100 100 300 500 re f"]))

    lines = ["The first line of a turned page", "and the second one below it.", "A new paragraph."]
    turned = "\n".join(
        f"BT /F1 11 Tf 0 1 -1 0 {x} 100 Tm {string(line)} Tj ET" for x, line in zip((100, 114, 150), lines)
    )
    objects = document([turned.encode()])
    objects[10] = objects[10].replace(b"/MediaBox", b"/Rotate 90/MediaBox")
    write("turned.pdf", objects)

    write("places.pdf", places())
    write("report.pdf", report())

    objects = document([typeset(["The only page."])])
    objects[90] = b"<</Type/Pages/Count 2/Kids[10 0 R 90 0 R]/Parent 90 0 R>>"
    write("cycle.pdf", objects)

    fine = typeset(["This page is fine."])
    write("bomb.pdf", document([twice(b" " * (70 << 20)), fine]))
    objects = document([fine + b"\n/Big Do"])
    objects[10] = objects[10].replace(b"/Resources<<", b"/Resources<</XObject<</Big 50 0 R>>")
    objects[50] = twice(b" " * (70 << 20), "/Type/XObject/Subtype/Form/BBox[0 0 100 100]")
    write("form-bomb.pdf", objects)
    objects = {1: b"<</Type/Catalog/Pages 2 0 R>>", 3: twice(b"q Q " * (15 << 20))}
    for number in range(10, 110):
        objects[number] = b"<</Type/Page/Parent 2 0 R/Contents 3 0 R>>"
    kids = b" ".join(b"%d 0 R" % number for number in range(10, 110))
    objects[2] = b"<</Type/Pages/Count 100/MediaBox[0 0 595 842]/Kids[%b]>>" % kids
    write("slow.pdf", objects)
    write("hungry.pdf", document([twice(b"BT /F1 9 Tf " + b"(a)Tj " * (4 << 20))]))


main()
