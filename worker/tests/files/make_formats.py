#!/usr/bin/env python3
"""Writes the files of other formats than PDF: `python3 make_formats.py`, with python-docx 1.2, openpyxl 3.1 and
python-pptx 1.0. Those three write the time of day into their files, so the bytes differ from run to run.

minutes.txt       Windows-1252, lines end as under DOS; minutes of a meeting
guide.md          front matter, three levels of headings, lists, a table, a footnote, HTML
garden.html       a menu, a script, `main` with a table
report.docx       by python-docx: title, headings, a list, a table
contract.docx     by hand: styles with German ids, a footnote, a deletion, a text box given twice, a table of contents
budget.xlsx       by openpyxl: two sheets with heads, dates, a gap
talk.pptx         by python-pptx: three slides, a table, a picture with a description, notes
tale.epub         three chapters, one in two files; both kinds of tables of contents
cities.csv        UTF-8 with its mark, semicolons, a value of two lines
records.jsonl     three records and a line that is none

bomb.docx         expands to 64 MiB
laughs.docx       a billion laughs: entities that expand to 3 GB
wide.xlsx         says that it has 17 billion cells, and has two of them, at its corners
"""

import datetime
import io
import struct
import zipfile
import zlib
from pathlib import Path

import docx
import openpyxl
import pptx
from pptx.util import Inches

HERE = Path(__file__).parent
EPOCH = (1980, 1, 1, 0, 0, 0)
W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def archive(name, entries):
    with zipfile.ZipFile(HERE / name, "w", zipfile.ZIP_DEFLATED) as file:
        for entry, content in entries.items():
            info = zipfile.ZipInfo(entry, EPOCH)
            info.compress_type = zipfile.ZIP_STORED if entry == "mimetype" else zipfile.ZIP_DEFLATED
            file.writestr(info, content, compresslevel=9)


def relations(*kinds_and_targets):
    each = "".join(
        f'<Relationship Id="r{n}" Type="{RELATIONS}/{kind}" Target="{target}"/>'
        for n, (kind, target) in enumerate(kinds_and_targets)
    )
    return f'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{each}</Relationships>'


def word(name, body, **more):
    archive(name, {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="xml" ContentType="application/xml"/>'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/></Types>',
        "_rels/.rels": relations(("officeDocument", "word/document.xml")),
        "word/document.xml": body,
        **more,
    })


def picture():
    """A grey dot."""
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0\x80")) + chunk(b"IEND", b"")


def texts():
    (HERE / "minutes.txt").write_bytes("""Minutes of the works council, 3 March

Present: Frau Müller, Herr Größler, Ms. Adeyemi

1. Canteen
The price of the vegetarian menu stays at 4.20 euros until October.
Herr Größler asks for a second water dispenser.

2. Parking
The spaces behind hall 7 are closed from 10 to 21 April,
since the drain is renewed. Bicycles may stay.
""".replace("\n", "\r\n").encode("cp1252"))
    (HERE / "guide.md").write_text("""---
title: Running the Kestrel pump
---

# Kestrel pump

<p align="center"><img src="pump.png" alt="The pump"></p>

## Starting it

1. Open the *intake valve*.
2. Press [the green button](https://example.org/green) for three seconds.
   - It blinks twice.

### When it stalls

Run `kestrelctl reset --hard` and wait.[^wait]

| Lamp | Meaning |
|------|---------|
| red  | The bearing is hotter than 95 degrees |
| blue | The filter is **clogged** |

[^wait]: Forty seconds at most.
""")
    (HERE / "garden.html").write_text("""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>The school garden &ndash; Linden School</title>
<style>nav { color: green }</style><script>document.write("<p>not to be read</p>");</script></head>
<body><nav><ul><li><a href="/">Home</a></li><li><a href="/contact">Contact us</a></li></ul></nav>
<main><h1>The school garden</h1>
<p>Every class has a bed of its own. Watering is done
<b>before eight</b> in the morning.</p>
<h2>What grows where</h2>
<table><thead><tr><th>Class</th><th>Plant</th></tr></thead>
<tbody><tr><td>5b</td><td>Runner beans</td></tr><tr><td>7a</td><td>Purple carrots</td></tr></tbody></table>
<p><img src="plan.png" alt="Plan of the garden with the compost in the north"></p></main>
<footer>Imprint</footer></body></html>
""")
    (HERE / "cities.csv").write_text("""\ufeffCity;Hotel limit;Remark
Zurich;"175,00";"only with
breakfast"
London;180;
Lyon;110;near the "Gare"
""")
    (HERE / "records.jsonl").write_text("""{"id": "a-1", "title": "Moss", "text": "Moss has no roots. It drinks through its leaves."}
not a record
{"url": "https://example.org/fern", "text": "Ferns spread by spores.\\n\\nSome grow twelve metres tall."}

{"id": 7, "text": "Lichens are a fungus and an alga together.", "more": [1, 2]}
""")


def report():
    document = docx.Document()
    document.core_properties.title = "Bridge inspection 2024"
    document.add_heading("Inspection of the Tannberg bridge", 0)
    document.add_heading("Findings", 1)
    document.add_paragraph("The third pillar shows cracks of up to 0.4 millimetres.")
    document.add_heading("Measures", 2)
    document.add_paragraph("Seal the cracks with resin.", style="List Bullet")
    document.add_paragraph("Repeat the survey in 18 months.", style="List Bullet")
    table = document.add_table(rows=0, cols=2)
    for cells in (("Part", "Load"), ("Deck", "40 tonnes"), ("Footway", "5 tonnes")):
        for cell, text in zip(table.add_row().cells, cells):
            cell.text = text
    document.save(HERE / "report.docx")


def contract():
    styles = f"""<w:styles {W}>
<w:style w:type="paragraph" w:styleId="berschrift1"><w:name w:val="heading 1"/><w:pPr><w:outlineLvl w:val="0"/></w:pPr></w:style>
<w:style w:type="paragraph" w:styleId="Klausel"><w:name w:val="Klausel"/><w:basedOn w:val="berschrift2"/></w:style>
<w:style w:type="paragraph" w:styleId="berschrift2"><w:name w:val="heading 2"/></w:style>
<w:style w:type="paragraph" w:styleId="Verzeichnis1"><w:name w:val="toc 1"/></w:style></w:styles>"""
    notes = f"""<w:footnotes {W}><w:footnote w:id="-1"><w:p><w:r><w:separator/></w:r></w:p></w:footnote>
<w:footnote w:id="2"><w:p><w:r><w:footnoteRef/></w:r><w:r><w:t xml:space="preserve"> Gemessen ab </w:t></w:r><w:r><w:t>Zugang.</w:t></w:r></w:p></w:footnote></w:footnotes>"""

    def paragraph(text, style=None, runs=""):
        style = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
        return f'<w:p>{style}<w:r><w:t xml:space="preserve">{text}</w:t></w:r>{runs}</w:p>'

    box = paragraph("Entwurf vom 2. Mai")
    body = f"""<w:document {W} xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"><w:body>
{paragraph("1 Mietsache 3", "Verzeichnis1")}
{paragraph("§ 1 Mietsache", "berschrift1")}
{paragraph("Vermietet wird die Wohnung im zweiten Stock ", runs='<w:del><w:r><w:delText>mit Keller </w:delText></w:r></w:del><w:ins><w:r><w:t>ohne Keller.</w:t></w:r></w:ins>')}
{paragraph("Fristen", "Klausel")}
{paragraph("Die Frist beträgt sechs Wochen", runs='<w:r><w:footnoteReference w:id="2"/></w:r><w:r><w:t>.</w:t></w:r>')}
<w:p><w:r><mc:AlternateContent><mc:Choice><w:txbxContent>{box}</w:txbxContent></mc:Choice>
<mc:Fallback><w:txbxContent>{box}</w:txbxContent></mc:Fallback></mc:AlternateContent></w:r></w:p>
</w:body></w:document>"""
    word("contract.docx", body, **{
        "word/_rels/document.xml.rels": relations(("styles", "styles.xml"), ("footnotes", "footnotes.xml")),
        "word/styles.xml": styles,
        "word/footnotes.xml": notes,
    })


def budget():
    book = openpyxl.Workbook()
    book.properties.title = "Budget of the festival"
    costs = book.active
    costs.title = "Costs"
    costs.append(["Item", "Due", "Euros"])
    costs.append(["Stage", datetime.date(2024, 5, 17), 12500])
    costs.append(["Fireworks", datetime.datetime(2024, 6, 1, 22, 30), 3999.9])
    costs["A12"], costs["C12"] = "Insurance", 0.1 + 0.2
    people = book.create_sheet("People")
    people.append(["Name", "Task"])
    people.append(["Ines Okafor", "keeps the keys to the generator"])
    book.create_sheet("Empty")
    book.save(HERE / "budget.xlsx")


def talk():
    show = pptx.Presentation()
    show.core_properties.title = "Night trains"
    first = show.slides.add_slide(show.slide_layouts[0])
    first.shapes.title.text, first.placeholders[1].text = "Night trains", "A talk in Basel"
    second = show.slides.add_slide(show.slide_layouts[5])
    second.shapes.title.text = "Who travels"
    table = second.shapes.add_table(2, 2, Inches(1), Inches(2), Inches(6), Inches(1)).table
    for at, text in (((0, 0), "Berth"), ((0, 1), "Share"), ((1, 0), "Couchette"), ((1, 1), "61 percent")):
        table.cell(*at).text = text
    second.notes_slide.notes_text_frame.text = "Mention the survey of 1,204 passengers."
    third = show.slides.add_slide(show.slide_layouts[6])
    shape = third.shapes.add_picture(io.BytesIO(picture()), Inches(1), Inches(1))
    shape._element.nvPicPr.cNvPr.set("descr", "Map of the line from Basel to Malmö")
    show.save(HERE / "talk.pptx")


def tale():
    def chapter(title, *paragraphs):
        head = f"<h1>{title}</h1>" if title else ""
        body = "".join(f"<p>{text}</p>" for text in paragraphs)
        return (f'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><head><title/>'
                f'<script src="a.js"/></head><body>{head}{body}</body></html>')

    archive("tale.epub", {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>',
        "OEBPS/book.opf": '<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/">'
        "<metadata><dc:title>The Lamplighter &amp; the Gull</dc:title></metadata><manifest>"
        '<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>'
        '<item id="ncx" href="book.ncx" media-type="application/x-dtbncx+xml"/>'
        '<item id="two" href="text/two.xhtml" media-type="application/xhtml+xml"/>'
        '<item id="one" href="text/chapter%20one.xhtml" media-type="application/xhtml+xml"/>'
        '<item id="one-b" href="text/one-b.xhtml" media-type="application/xhtml+xml"/></manifest>'
        '<spine toc="ncx"><itemref idref="nav"/><itemref idref="one"/><itemref idref="one-b"/><itemref idref="two"/></spine></package>',
        "OEBPS/nav.xhtml": '<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops"><body>'
        '<nav epub:type="toc"><ol><li><a href="text/chapter%20one.xhtml#start">The harbour</a></li></ol></nav></body></html>',
        "OEBPS/book.ncx": '<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/"><navMap><navPoint><navLabel><text>The <!-- old -->storm</text>'
        '</navLabel><content src="text/two.xhtml"/></navPoint></navMap></ncx>',
        "OEBPS/text/chapter one.xhtml": chapter("The harbour", "The lamplighter had forty-two lamps to light.", "A gull watched him."),
        "OEBPS/text/one-b.xhtml": chapter("", "It was the gull he called Admiral."),
        "OEBPS/text/two.xhtml": chapter("The storm", "On the ninth night all lamps but one went out."),
    })


def hostile():
    head = f"<w:document {W}><w:body><w:p><w:r><w:t>"
    tail = "</w:t></w:r></w:p></w:body></w:document>"
    word("bomb.docx", head + "A" * (64 << 20) + tail)
    entities = '<!ENTITY a0 "ha">' + "".join(
        f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10)
    )
    word("laughs.docx", f"<!DOCTYPE w:document [{entities}]>{head}Laugh: &a9;{tail}")
    book = io.BytesIO()
    openpyxl.Workbook().save(book)
    entries = {}
    with zipfile.ZipFile(book) as file:
        for entry in file.namelist():
            entries[entry] = file.read(entry)
    entries["xl/worksheets/sheet1.xml"] = (
        '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><dimension ref="A1:XFD1048576"/>'
        '<sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>first corner</t></is></c></row>'
        '<row r="1048576"><c r="XFD1048576" t="inlineStr"><is><t>last corner</t></is></c></row></sheetData></worksheet>'
    )
    archive("wide.xlsx", entries)


texts()
report()
contract()
budget()
talk()
tale()
hostile()
