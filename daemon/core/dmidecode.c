/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See dmidecode.h. */
#include "core/dmidecode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "core/builder.h"
#include "core/utext.h"
#include "core/vmware.h"

enum {
    SHOWN_MAX = 64,
    VERSION_MAX = 999,
    SWAPS_SMBIOS =
        206, /* SMBIOS 2.6 and dmidecode 2.10: from here on the printed UUID is swapped */
    SWAPS_TOOL = 210,
};

enum wanted {
    BIOS_VENDOR,
    BIOS_VERSION,
    BIOS_DATE,
    MANUFACTURER,
    PRODUCT,
    VERSION,
    SERIAL,
    UUID,
    SKU,
    FAMILY,
    BOARD,
    ASSET_TAG,
    OEM_STRING,
    WANTED,
};

static const struct {
    int type;
    const char *key;
} wanted[WANTED] = {
    [BIOS_VENDOR] = {0, "Vendor"},     [BIOS_VERSION] = {0, "Version"},
    [BIOS_DATE] = {0, "Release Date"}, [MANUFACTURER] = {1, "Manufacturer"},
    [PRODUCT] = {1, "Product Name"},   [VERSION] = {1, "Version"},
    [SERIAL] = {1, "Serial Number"},   [UUID] = {1, "UUID"},
    [SKU] = {1, "SKU Number"},         [FAMILY] = {1, "Family"},
    [BOARD] = {2, "Manufacturer"},     [ASSET_TAG] = {3, "Asset Tag"},
    [OEM_STRING] = {11, "String 1"},
};

/* Versions as major * 100 + minor; 0: not said. */
struct dump {
    const char *values[WANTED]; /* first one of each; NULL: not there, or "Not Specified" */
    int smbios, tool;
    bool has_system; /* a type 1 was there */
    bool has_types;  /* lines with DMI types: all but dmidecode -q */
};

/* --- the text --------------------------------------------------------------------------------- */

/* "2.7" at the start of `text`; 0: none. */
static int parse_version(const char *text)
{
    int parts[2] = {0, 0};

    for (int i = 0; i < 2; i++) {
        if (!ascii_is_digit(*text)) {
            return 0;
        }
        for (; ascii_is_digit(*text) && parts[i] <= VERSION_MAX; text++) {
            parts[i] = parts[i] * 10 + (*text - '0');
        }
        if (i == 0 && *text++ != '.') {
            return 0;
        }
    }
    return parts[0] > 0 && parts[0] < 100 && parts[1] < 100 ? parts[0] * 100 + parts[1] : 0;
}

/* "Handle 0x0001, DMI type 1, 27 bytes", or before dmidecode 2.8 "DMI type 1, 25 bytes." on a line
 * of its own: the type; -1: another line. */
static int parse_type(const char *line)
{
    const char *at = strstr(line, "DMI type ");
    int type = 0;

    if (at == NULL || (at != line && !str_starts(line, "Handle "))) {
        return -1;
    }
    at += strlen("DMI type ");
    if (!ascii_is_digit(*at)) {
        return -1;
    }
    for (; ascii_is_digit(*at) && type <= VERSION_MAX; at++) {
        type = type * 10 + (*at - '0');
    }
    return type;
}

/* dmidecode -q prints titles without types: the type; -1: another one; -2: no title. */
static int type_of_title(const char *line)
{
    static const struct {
        int type;
        const char *title;
    } titles[] = {{0, "BIOS Information"},
                  {1, "System Information"},
                  {2, "Base Board Information"},
                  {3, "Chassis Information"},
                  {11, "OEM Strings"}};

    if (*line == '\0' || *line == '#' || ascii_is_space(*line)) {
        return -2;
    }
    for (size_t i = 0; i < ARRAY_SIZE(titles); i++) {
        if (str_equal(line, titles[i].title)) {
            return titles[i].type;
        }
    }
    return -1;
}

static void begin_table(struct dump *dump, int *type, bool *done, int new_type)
{
    *done = new_type == 1 && dump->has_system; /* a second one is another machine's */
    *type = *done ? -1 : new_type;
    dump->has_system = dump->has_system || new_type == 1;
}

/* What dmidecode prints where the table says nothing. */
static bool says_nothing(const char *value)
{
    static const char *const words[] = {"Not Specified", "Not Present", "Not Settable",
                                        "Not Provided"};

    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (str_iequal(value, words[i])) {
            return true;
        }
    }
    return *value == '\0' || *value == '<'; /* "<BAD INDEX>", "<OUT OF SPEC>" */
}

/* `line` is cut at its colon. */
static void take_value(struct dump *dump, int type, char *line)
{
    char *colon = strchr(line, ':');
    const char *value;

    if (colon == NULL) {
        return;
    }
    *colon = '\0';
    value = colon + 1 + strspn(colon + 1, " \t");
    for (size_t i = 0; i < WANTED; i++) {
        if (wanted[i].type == type && str_equal(wanted[i].key, line) && dump->values[i] == NULL &&
            !says_nothing(value)) {
            dump->values[i] = value;
        }
    }
}

static void take_line(struct dump *dump, int *type, bool *done, char *whole)
{
    char *line = whole + strspn(whole, " \t");
    int new_type = parse_type(line);
    int title = dump->has_types ? -2 : type_of_title(whole);

    if (new_type >= 0) {
        dump->has_types = true;
        begin_table(dump, type, done, new_type);
    } else if (str_starts(line, "# dmidecode ") && dump->tool == 0) {
        dump->tool = parse_version(line + strlen("# dmidecode "));
    } else if (str_starts(line, "SMBIOS ") && strstr(line, "present") != NULL &&
               dump->smbios == 0) {
        dump->smbios = parse_version(line + strlen("SMBIOS "));
    } else if (title >= -1) {
        begin_table(dump, type, done, title);
    } else if (*type >= 0) {
        take_value(dump, *type, line);
    }
}

/* Line by line, in place; values point into `text`. */
static void read_dump(char *text, struct dump *dump)
{
    int type = -1;
    bool done = false;

    for (char *line = text; *line != '\0' && !done;) {
        size_t len = strcspn(line, "\n");
        char *next = line[len] != '\0' ? line + len + 1 : line + len;

        for (; len > 0 && ascii_is_space(line[len - 1]); len--) {
        }
        line[len] = '\0';
        take_line(dump, &type, &done, line);
        line = next;
    }
}

/* --- the meaning ------------------------------------------------------------------------------ */

static int refuse(const struct dump *dump, struct err *err)
{
    const char *manufacturer = dump->values[MANUFACTURER];
    const char *serial = dump->values[SERIAL];

    if (!dump->has_system) {
        return err_set(err, -EINVAL,
                       "this dump has no System Information (DMI type 1); run dmidecode as root "
                       "and without -s or -t");
    }
    if ((manufacturer != NULL && str_istarts(manufacturer, "VMware")) ||
        (serial != NULL && str_istarts(serial, VMWARE_SERIAL_PREFIX))) {
        return 0;
    }
    return err_set(
        err, -EINVAL,
        "this dump is not of a VMware guest: its manufacturer is \"%.64s\". Run dmidecode "
        "inside the guest, while it still is on VMware",
        manufacturer != NULL ? manufacturer : "not told");
}

/* How the printed UUID is to be read: 1 swapped, 0 as it is, -1 nobody can tell. */
static int is_swapped(const struct dump *dump)
{
    if (dump->smbios == 0 ||
        (dump->tool > 0 && dump->tool < SWAPS_TOOL && dump->smbios >= SWAPS_SMBIOS)) {
        return -1;
    }
    return dump->smbios >= SWAPS_SMBIOS;
}

/* The serial is b, unambiguously; the UUID confirms it, or contradicts. */
static void compare(struct builder *b, const struct dump *dump, const struct smbios_uuid *raw,
                    const struct smbios_uuid *printed)
{
    struct smbios_uuid turned = smbios_uuid_swap(*printed);
    int swapped = is_swapped(dump);
    bool as_is = smbios_uuid_equal(raw, printed), other = smbios_uuid_equal(raw, &turned);

    if (!as_is && !other) {
        builder_note(b,
                     "serial number \"%s\" and UUID %s contradict each other: the serial number "
                     "counts. Was the dump altered?",
                     dump->values[SERIAL], dump->values[UUID]);
    } else if ((swapped == 1 && !other) || (swapped == 0 && !as_is)) {
        builder_note(b,
                     "UUID %s is not printed in the byte order of SMBIOS %d.%d, but has the bytes "
                     "of the serial number, which counts",
                     dump->values[UUID], dump->smbios / 100, dump->smbios % 100);
    }
}

static void tell_both(struct builder *b, const struct smbios_uuid *printed)
{
    struct smbios_uuid turned = smbios_uuid_swap(*printed);
    char as_is[SMBIOS_UUID_SIZE], other[SMBIOS_UUID_SIZE];

    smbios_uuid_format(printed, as_is);
    smbios_uuid_format(&turned, other);
    builder_note(b,
                 "the dump has no VMware serial number and does not tell in which byte order its "
                 "UUID is printed, so it was left out: smbios.uuid is either %s or %s; the whole "
                 "output of dmidecode 2.10 or later, or Windows, tells which",
                 as_is, other);
}

static void capture_uuid(struct builder *b, const struct dump *dump)
{
    const char *serial = dump->values[SERIAL], *text = dump->values[UUID];
    struct smbios_uuid raw, printed;
    bool has_raw = serial != NULL && str_istarts(serial, VMWARE_SERIAL_PREFIX) &&
                   smbios_uuid_parse_vmware(serial + strlen(VMWARE_SERIAL_PREFIX), &raw, NULL) == 0;
    bool has_printed = text != NULL && smbios_uuid_parse(text, &printed, NULL) == 0;

    if (text != NULL && !has_printed) {
        builder_note(b, "\"%.*s\" is no UUID and was left out", SHOWN_MAX, text);
    }
    if (has_raw && has_printed) {
        compare(b, dump, &raw, &printed);
    }
    if (!has_raw && has_printed && is_swapped(dump) < 0) {
        tell_both(b, &printed);
    } else if (!has_raw && has_printed) {
        raw = is_swapped(dump) == 1 ? smbios_uuid_swap(printed) : printed;
    }
    if (!has_raw && (!has_printed || is_swapped(dump) < 0)) {
        if (!has_printed) {
            builder_note(b, "the dump has neither VMware's serial number nor a UUID: was dmidecode "
                            "run as root?");
        }
        return;
    }
    if (!builder_uuid(b, &raw)) {
        builder_note(b, "the UUID is all zeros or all ones, which means none; left out");
    } else if (!has_raw) {
        builder_set(b, &b->fp->smbios.serial, NULL); /* the guest's own serial goes over ours */
    }
}

static void capture_type1(struct builder *b, const struct dump *dump)
{
    struct fingerprint_smbios *smbios = &b->fp->smbios;
    const char *const *values = dump->values;

    b->fp->has_smbios = true;
    if (smbios->serial == NULL) {
        builder_text(b, &smbios->serial, values[SERIAL], FINGERPRINT_STRING_MAX, "the serial");
    }
    builder_text(b, &smbios->manufacturer, values[MANUFACTURER], FINGERPRINT_STRING_MAX,
                 "the manufacturer");
    builder_text(b, &smbios->product, values[PRODUCT], FINGERPRINT_STRING_MAX, "the product name");
    builder_text(b, &smbios->version, values[VERSION], FINGERPRINT_STRING_MAX, "the version");
    builder_text(b, &smbios->sku, values[SKU], FINGERPRINT_STRING_MAX, "the SKU number");
    builder_text(b, &smbios->family, values[FAMILY], FINGERPRINT_STRING_MAX, "the family");
}

static void capture_type0(struct builder *b, const struct dump *dump)
{
    struct fingerprint_bios *bios = &b->fp->bios;
    const char *product = b->fp->smbios.product;

    builder_text(b, &bios->vendor, dump->values[BIOS_VENDOR], FINGERPRINT_STRING_MAX, "the vendor");
    builder_text(b, &bios->version, dump->values[BIOS_VERSION], FINGERPRINT_STRING_MAX,
                 "the BIOS version");
    builder_text(b, &bios->date, dump->values[BIOS_DATE], FINGERPRINT_STRING_MAX, "the BIOS date");
    b->fp->has_bios = bios->vendor != NULL || bios->version != NULL || bios->date != NULL;
    if (product != NULL) {
        builder_firmware(b, product, bios->vendor);
    }
}

static void note_the_rest(struct builder *b, const struct dump *dump)
{
    const char *tag = dump->values[ASSET_TAG], *board = dump->values[BOARD];
    const char *oem = dump->values[OEM_STRING];

    if (tag != NULL && !str_equal(tag, "No Asset Tag")) {
        builder_note(b,
                     "the asset tag \"%.*s\" (SMBIOS type 3) has no place in a configuration of "
                     "PVE",
                     SHOWN_MAX, tag);
    }
    if (board != NULL && !str_istarts(board, "Intel")) {
        builder_note(b,
                     "the board of \"%.*s\" (SMBIOS type 2) has no place in a configuration of "
                     "PVE",
                     SHOWN_MAX, board);
    }
    if (oem != NULL && !str_starts(oem, "[MS_VM_CERT/")) {
        builder_note(b,
                     "the OEM string \"%.*s\" (SMBIOS type 11) has no place in a configuration of "
                     "PVE",
                     SHOWN_MAX, oem);
    }
    builder_note(b, "dmidecode tells nothing of network cards and disks: complete this with the "
                    ".vmx, an OVF or vCenter (capture --merge)");
}

static int capture(struct builder *b, char *text, struct fingerprint **ret_fp, struct err *err)
{
    struct dump dump = {0};
    int rc;

    read_dump(text, &dump);
    rc = refuse(&dump, err);
    if (rc < 0) {
        return rc;
    }
    capture_uuid(b, &dump);
    capture_type1(b, &dump);
    capture_type0(b, &dump);
    builder_machine(b);
    note_the_rest(b, &dump);
    return builder_finish(b, ret_fp, err);
}

int dmidecode_capture(const char *text, size_t len, const char *captured,
                      struct fingerprint **ret_fp, struct notes *notes, struct err *err)
{
    CLEANUP_FREE char *copy = NULL;
    CLEANUP(builder_fini) struct builder b = {0};
    size_t copy_len;
    int rc = utext_decode(text, len, &copy, &copy_len, err);

    if (rc < 0) {
        return rc;
    }
    rc = builder_init(&b, "dmidecode", captured, notes);
    return rc < 0 ? err_oom(err) : capture(&b, copy, ret_fp, err);
}

bool dmidecode_recognises(const char *head, size_t len)
{
    static const char *const marks[] = {"# dmidecode ",
                                        "DMI type ",
                                        "SMBIOS data from",
                                        "structures occupying",
                                        "BIOS Information\n\t",
                                        "System Information\n\t",
                                        "System Information\r\n\t"};
    CLEANUP_FREE char *text = NULL;
    size_t text_len;

    if (utext_decode(head, len, &text, &text_len, NULL) < 0) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
        if (strstr(text, marks[i]) != NULL) {
            return true;
        }
    }
    return false;
}
