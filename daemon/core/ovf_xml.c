/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See ovf_xml.h. What a handler cannot return sticks in `struct reader` and stops the parser. */
#include "core/ovf_xml.h"

#include <errno.h>
#include <expat.h>
#include <limits.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"

enum {
    DEPTH_MAX = 64, /* a real one has about 7 */
    SYSTEMS_MAX = 1000,
    ITEMS_MAX = 1000, /* of one VM */
    CONFIGS_MAX = 10000,
    TEXT_MAX = 4096, /* of one element; what is longer is cut, no field of ours is */
};

struct reader {
    XML_Parser parser;
    struct ovf_doc *doc;
    struct err *err;
    int error;                           /* sticky */
    int depth;                           /* of the element we are in; the root has 1 */
    int system_at, hardware_at, item_at; /* depths where these began; 0: not inside */
    bool default_option;
    struct buf text; /* of the leaf, cut at TEXT_MAX */
};

/* --- the document ----------------------------------------------------------------------------- */

static void item_fini(struct ovf_item *item)
{
    for (size_t i = 0; i < OVF_FIELDS; i++) {
        free(item->fields[i]);
    }
    free(item->configuration);
}

static void system_fini(struct ovf_system *system)
{
    for (size_t i = 0; i < system->n_items; i++) {
        item_fini(&system->items[i]);
    }
    for (size_t i = 0; i < system->n_configs; i++) {
        free(system->configs[i].key);
        free(system->configs[i].value);
    }
    free(system->items);
    free(system->configs);
    free(system->id);
    free(system->name);
    free(system->os_type);
    free(system->hardware);
}

void ovf_doc_fini(struct ovf_doc *doc)
{
    for (size_t i = 0; i < doc->n; i++) {
        system_fini(&doc->systems[i]);
    }
    free(doc->systems);
    free(doc->configuration);
    *doc = (struct ovf_doc){0};
}

const char *ovf_config_get(const struct ovf_system *system, bool extra, const char *key)
{
    for (size_t i = 0; i < system->n_configs; i++) {
        if (system->configs[i].extra == extra && str_iequal(system->configs[i].key, key)) {
            return system->configs[i].value;
        }
    }
    return NULL;
}

/* --- handlers --------------------------------------------------------------------------------- */

static void stop(struct reader *r, int code)
{
    r->error = r->error != 0 ? r->error : code;
    (void)XML_StopParser(r->parser, XML_FALSE); /* fails only where it is stopped already */
}

static void replace(struct reader *r, char **at, const char *text)
{
    if (r->error == 0 && str_replace(at, text) < 0) {
        stop(r, err_oom(r->err));
    }
}

static const char *local(const char *name)
{
    const char *colon = strrchr(name, ':');

    return colon == NULL ? name : colon + 1;
}

static const char *attribute(const XML_Char **attributes, const char *name)
{
    for (size_t i = 0; attributes[i] != NULL; i += 2) {
        if (str_equal(local(attributes[i]), name)) {
            return attributes[i + 1];
        }
    }
    return NULL;
}

/* Room for one more item of an array whose limit is not met. */
static bool grow(struct reader *r, void *items_at, size_t n, size_t *cap, size_t size, size_t max,
                 const char *what)
{
    if (n >= max) {
        stop(r, err_set(r->err, -EFBIG, "more than %zu %s are more than an OVF has", max, what));
        return false;
    }
    if (vec_reserve(items_at, n, cap, size) < 0) {
        stop(r, err_oom(r->err));
        return false;
    }
    return true;
}

static struct ovf_system *current(const struct reader *r)
{
    return &r->doc->systems[r->doc->n - 1];
}

static void start_system(struct reader *r, const XML_Char **attributes)
{
    struct ovf_doc *doc = r->doc;

    if (!grow(r, &doc->systems, doc->n, &doc->cap, sizeof(*doc->systems), SYSTEMS_MAX, "VMs")) {
        return;
    }
    doc->systems[doc->n++] = (struct ovf_system){0};
    r->system_at = r->depth;
    replace(r, &current(r)->id, attribute(attributes, "id"));
}

static void start_item(struct reader *r, const XML_Char **attributes)
{
    struct ovf_system *system = current(r);

    if (!grow(r, &system->items, system->n_items, &system->items_cap, sizeof(*system->items),
              ITEMS_MAX, "devices of one VM")) {
        return;
    }
    system->items[system->n_items] = (struct ovf_item){0};
    replace(r, &system->items[system->n_items++].configuration,
            attribute(attributes, "configuration"));
    r->item_at = r->depth;
}

static void add_config(struct reader *r, const XML_Char **attributes, bool extra)
{
    struct ovf_system *system = current(r);
    const char *key = attribute(attributes, "key");
    const char *value = attribute(attributes, "value");
    struct ovf_config *config;

    if (key == NULL || value == NULL ||
        !grow(r, &system->configs, system->n_configs, &system->configs_cap,
              sizeof(*system->configs), CONFIGS_MAX, "settings of one VM")) {
        return;
    }
    config = &system->configs[system->n_configs++];
    *config = (struct ovf_config){.extra = extra};
    replace(r, &config->key, key);
    replace(r, &config->value, value);
}

/* The deployment option that says it is the default; without one, the first. */
static void add_option(struct reader *r, const XML_Char **attributes)
{
    const char *is_default = attribute(attributes, "default");
    bool chosen = str_equal(is_default, "true") || str_equal(is_default, "1");

    if (r->doc->configuration == NULL || (chosen && !r->default_option)) {
        replace(r, &r->doc->configuration, attribute(attributes, "id"));
        r->default_option = chosen;
    }
}

static bool is_item(const char *name)
{
    return str_equal(name, "Item") || str_equal(name, "StorageItem") ||
           str_equal(name, "EthernetPortItem");
}

static void start_in_system(struct reader *r, const char *name, const XML_Char **attributes)
{
    struct ovf_system *system = current(r);
    bool below = r->depth == r->hardware_at + 1;

    if (str_equal(name, "OperatingSystemSection") && r->depth == r->system_at + 1) {
        replace(r, &system->os_type, attribute(attributes, "osType"));
    } else if (str_equal(name, "VirtualHardwareSection") && !system->has_hardware) {
        system->has_hardware = true; /* further ones are alternatives for other hypervisors */
        r->hardware_at = r->depth;
    } else if (r->hardware_at == 0 || !below) {
        return;
    } else if (is_item(name)) {
        start_item(r, attributes);
    } else if (str_equal(name, "Config") || str_equal(name, "ExtraConfig")) {
        add_config(r, attributes, str_equal(name, "ExtraConfig"));
    }
}

static void XMLCALL on_start(void *data, const XML_Char *qname, const XML_Char **attributes)
{
    struct reader *r = data;
    const char *name = local(qname);

    buf_consume(&r->text, r->text.len);
    if (r->error != 0) {
        return;
    }
    if (++r->depth > DEPTH_MAX) {
        stop(r, err_set(r->err, -EFBIG, "its elements are nested deeper than %d", DEPTH_MAX));
    } else if (r->depth == 1 && !str_equal(name, "Envelope")) {
        stop(r, err_set(r->err, -EINVAL,
                        "this is XML, but no OVF: it begins with <%.32s> and not with <Envelope>",
                        name));
    } else if (r->system_at > 0) {
        start_in_system(r, name, attributes);
    } else if (str_equal(name, "VirtualSystem")) {
        start_system(r, attributes);
    } else if (str_equal(name, "Configuration")) {
        add_option(r, attributes);
    }
}

static void XMLCALL on_text(void *data, const XML_Char *bytes, int len)
{
    struct reader *r = data;
    size_t room = TEXT_MAX - r->text.len;

    buf_add(&r->text, bytes, (size_t)len < room ? (size_t)len : room);
}

static void take_field(struct reader *r, const char *name, const char *text)
{
    static const char *const names[OVF_FIELDS] = {
        [OVF_ADDRESS] = "Address",       [OVF_ADDRESS_ON_PARENT] = "AddressOnParent",
        [OVF_UNITS] = "AllocationUnits", [OVF_CORES] = "CoresPerSocket",
        [OVF_NAME] = "ElementName",      [OVF_INSTANCE] = "InstanceID",
        [OVF_PARENT] = "Parent",         [OVF_SUBTYPE] = "ResourceSubType",
        [OVF_TYPE] = "ResourceType",     [OVF_QUANTITY] = "VirtualQuantity",
    };
    struct ovf_system *system = current(r);

    for (size_t i = 0; i < OVF_FIELDS && *text != '\0'; i++) {
        /* Old exporters write InstanceId. */
        if (str_iequal(name, names[i])) {
            replace(r, &system->items[system->n_items - 1].fields[i], text);
        }
    }
}

/* The text of the element that ends, without blanks around it; "" where there is none. */
static const char *leaf_text(struct reader *r)
{
    char *text = r->text.len > 0 ? r->text.data : NULL;
    size_t len = r->text.len;

    if (text == NULL) {
        return "";
    }
    for (; len > 0 && ascii_is_space(text[len - 1]); len--) {
    }
    text[len] = '\0';
    return text + strspn(text, " \t\r\n");
}

static void end_in_system(struct reader *r, const char *name, const char *text)
{
    struct ovf_system *system = current(r);

    if (r->item_at > 0 && r->depth == r->item_at + 1) {
        take_field(r, name, text);
    } else if (str_equal(name, "Name") && r->depth == r->system_at + 1 && system->name == NULL) {
        replace(r, &system->name, text);
    } else if (str_equal(name, "VirtualSystemType") && r->hardware_at > 0 && *text != '\0') {
        replace(r, &system->hardware, text);
    }
}

static void XMLCALL on_end(void *data, const XML_Char *qname)
{
    struct reader *r = data;

    if (r->error != 0) {
        return;
    }
    if (r->text.error != 0) {
        stop(r, err_oom(r->err));
        return;
    }
    if (r->system_at > 0) {
        end_in_system(r, local(qname), leaf_text(r));
    }
    r->item_at = r->depth == r->item_at ? 0 : r->item_at;
    r->hardware_at = r->depth == r->hardware_at ? 0 : r->hardware_at;
    r->system_at = r->depth == r->system_at ? 0 : r->system_at;
    r->depth--;
    buf_consume(&r->text, r->text.len);
}

/* No OVF has a document type. With it go internal entities ("billion laughs") and external ones
 * (files and addresses of the exporter's choice), before expat sees the first declaration. */
static void XMLCALL on_doctype(void *data, const XML_Char *name, const XML_Char *system_id,
                               const XML_Char *public_id, int has_internal)
{
    struct reader *r = data;

    (void)name;
    (void)system_id;
    (void)public_id;
    (void)has_internal;
    if (r->error == 0) {
        stop(r, err_set(r->err, -EINVAL,
                        "it declares a document type (DOCTYPE), by which a file can make itself "
                        "endless or reach for other files; no OVF needs one, so it is refused"));
    }
}

static int tell(struct reader *r)
{
    enum XML_Error code = XML_GetErrorCode(r->parser);

    if (r->error != 0) {
        return r->error;
    }
    if (code == XML_ERROR_NO_MEMORY) {
        return err_oom(r->err);
    }
    return err_set(r->err, -EINVAL, "line %lu, column %lu: no XML: %s",
                   (unsigned long)XML_GetCurrentLineNumber(r->parser),
                   (unsigned long)XML_GetCurrentColumnNumber(r->parser), XML_ErrorString(code));
}

int ovf_xml_parse(const char *text, size_t len, struct ovf_doc *ret_doc, struct err *err)
{
    /* Through our own names, so that the tests can make expat's allocations fail as well. */
    static const XML_Memory_Handling_Suite memory = {malloc, realloc, free};
    struct reader r = {.doc = ret_doc, .err = err, .text = BUF_INIT(0)};
    int rc = 0;

    *ret_doc = (struct ovf_doc){0};
    if (len > INT_MAX) {
        return err_set(err, -EFBIG, "%zu bytes are too many for an OVF", len);
    }
    r.parser = XML_ParserCreate_MM(NULL, &memory, NULL);
    if (r.parser == NULL) {
        return err_oom(err);
    }
    XML_SetUserData(r.parser, &r);
    XML_SetElementHandler(r.parser, on_start, on_end);
    XML_SetCharacterDataHandler(r.parser, on_text);
    XML_SetStartDoctypeDeclHandler(r.parser, on_doctype);
    if (XML_Parse(r.parser, text, (int)len, XML_TRUE) != XML_STATUS_OK || r.error != 0) {
        rc = tell(&r);
        ovf_doc_fini(ret_doc);
    }
    XML_ParserFree(r.parser);
    buf_fini(&r.text);
    return rc;
}
