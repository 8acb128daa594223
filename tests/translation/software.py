"""Miniature packages of translated software in their real layouts: what `build_bitext` reads."""

import json
import zipfile
from pathlib import Path

import polib

VERBS = {"Add": ("hinzufügen", "Ajouter", "Añadir"), "Delete": ("löschen", "Supprimer", "Eliminar"),
         "Open": ("öffnen", "Ouvrir", "Abrir"), "Rename": ("umbenennen", "Renommer", "Renombrar"),
         "Show": ("anzeigen", "Afficher", "Mostrar"), "Hide": ("ausblenden", "Masquer", "Ocultar")}  # fmt: skip
NOUNS = {"light": ("Licht", "la lampe", "la luz"), "device": ("Gerät", "le périphérique", "el dispositivo"),
         "area": ("Bereich", "la zone", "el área"), "scene": ("Szene", "la scène", "la escena"),
         "user": ("Benutzer", "le compte", "el usuario"), "backup": ("Sicherung", "la sauvegarde", "la copia"),
         "sensor": ("Sensor", "le capteur", "el detector"), "window": ("Fenster", "la fenêtre", "la ventana")}  # fmt: skip


def messages() -> dict[str, dict[str, str]]:
    """Language -> key -> text: 48 translated messages, some that cleaning has to handle, and one each that only en-GB and only en has."""
    found = {language: {} for language in ("en", "en-GB", "de", "fr", "es")}
    for verb, (verb_de, verb_fr, verb_es) in VERBS.items():
        for noun, (noun_de, noun_fr, noun_es) in NOUNS.items():
            texts = f"{verb} {noun}", f"{noun_de} {verb_de}", f"{verb_fr} {noun_fr}", f"{verb_es} {noun_es}"
            for language, text in zip(("en", "de", "fr", "es"), texts, strict=True):
                found[language][f"ui.{verb.lower()}.{noun}"] = text
    extra = {
        "ui.markup": ("<b>Warning</b>:&nbsp;read {name}", "<b>Warnung</b>: {name} lesen", "Attention : lire {name}", "Aviso: leer {name}"),
        "ui.plural": ("{n, plural, one {day} other {days}}", "{n, plural, one {Tag} other {Tage}}", "x", "x"),
        "ui.same": ("Home Assistant", "Home Assistant", "Home Assistant", "Home Assistant"),
        "ui.placeholder": ("Reload {entity} now", "Jetzt neu laden", "Recharger {entity}", "Recargar {entity}"),
        "ui.repeated": ("ADD LIGHT!", "Licht dazu", "Ajouter", "Añadir"),
        "ui.long": ("word " * 40, "Wort " * 40, "mot " * 40, "palabra " * 40),
        "ui.number": ("{n} %", "{n} %", "{n} %", "{n} %"),
    }  # fmt: skip
    for key, texts in extra.items():
        for language, text in zip(("en", "de", "fr", "es"), texts, strict=True):
            found[language][key] = text
    found["en-GB"] = {"ui.add.light": "Add lamp", "ui.british": "Choose a colour"}
    found["de"]["ui.british"] = "Farbe wählen"
    return found


def nested(flat: dict[str, str]) -> dict:
    tree: dict = {}
    for key, text in flat.items():
        *path, last = key.split(".")
        node = tree
        for part in path:
            node = node.setdefault(part, {})
        node[last] = text
    return tree


def catalogue(entries, compiled: Path | None = None) -> str:
    """Text of a .po; entries: (msgid, msgstr, comment) or polib entries. `compiled` gets the .mo."""
    found = polib.POFile()
    found.metadata = {"Content-Type": "text/plain; charset=utf-8", "Language": "de"}
    for entry in entries:
        if not isinstance(entry, polib.POEntry):
            entry = polib.POEntry(msgid=entry[0], msgstr=entry[1], comment=entry[2])
        found.append(entry)
    if compiled is not None:
        found.save_as_mofile(str(compiled))
    return str(found)


PLONE = [
    ("label_add_page", "Seite hinzufügen", 'Default: "Add page"'),
    ("label_quote", "Die „Titel“ sind leer", 'Default: "The \\"titles\\" are\\nempty"'),
    ("label_nothing", "Nichts", ""),
    ("Folder contents", "Ordnerinhalt", ""),
    ("Hello ${user}", "Hallo ${user}", ""),
    ("Not translated", "", ""),
]
DJANGO = [(f"Enter a valid {word}.", f"Bitte {word} eingeben.", "") for word in
          ("date", "time", "number", "address", "slug", "year", "choice", "list", "file", "colour")] + [
    ("Hello %(name)s and %s", "Hallo %(name)s und %s", ""), ("Yes", "Ja", ""), ("Add light", "Licht hinzufügen", "")]  # fmt: skip
NAMES = [(f"{place} {kind}", f"{place}-{kind}", "") for place in ("Alta", "Borgo", "Cuma", "Dravo") for kind in
         ("Island", "Creole", "Province")] + [("Andorra", "Andorra", "")]  # fmt: skip


def wheel(path: Path, members: dict[str, bytes | str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def packages(folder: Path) -> dict[str, Path]:
    """Wheels home_assistant, plone, django and pycountry under `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    members, digest = {}, "0123456789abcdef" * 2
    for number, (language, flat) in enumerate(messages().items()):
        own = f"{number:x}{digest[1:]}"
        first = {key: text for key, text in flat.items() if not key.startswith("ui.delete")}
        second = {key: text for key, text in flat.items() if key.startswith("ui.delete")}
        for page, part in (("", first), ("config/", second)):
            members[f"hass_frontend/static/translations/{page}{language}-{own}.json"] = json.dumps(nested(part))
    members["hass_frontend/static/locale-data/de.json"] = "{}"
    compiled = folder / "names.mo"
    catalogue(NAMES, compiled)
    made = {
        "home_assistant": wheel(folder / "frontend.whl", members),
        "plone": wheel(folder / "plone.whl", {f"plone/app/locales/locales/{language}/LC_MESSAGES/plone.po": text
                                              for language, text in (("de", catalogue(PLONE)), ("fr", catalogue([])))}),
        "django": wheel(folder / "django.whl", {"django/conf/locale/de/LC_MESSAGES/django.po": catalogue(DJANGO)}),
        "pycountry": wheel(folder / "pycountry.whl", {"pycountry/locales/de/LC_MESSAGES/iso3166-1.mo": compiled.read_bytes()}),
    }  # fmt: skip
    compiled.unlink()
    return made
