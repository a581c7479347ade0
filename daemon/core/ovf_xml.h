/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The part of an OVF descriptor that describes hardware, read by expat (streaming, in Debian's base
 * system; only ovf_xml.c includes it). Elements and attributes go by their local names: prefixes
 * are the exporter's choice, and some forget to declare theirs. A document type is refused as a
 * whole, and with it every entity but the five of XML: no expansion, no file, no network.
 */
#ifndef CORE_OVF_XML_H
#define CORE_OVF_XML_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* What an <Item> says; those of OVF 2.0 (StorageItem, EthernetPortItem) count as items too. */
enum ovf_field {
    OVF_ADDRESS,
    OVF_ADDRESS_ON_PARENT,
    OVF_UNITS, /* AllocationUnits */
    OVF_CORES, /* CoresPerSocket */
    OVF_NAME,  /* ElementName */
    OVF_INSTANCE,
    OVF_PARENT,
    OVF_SUBTYPE,
    OVF_TYPE,
    OVF_QUANTITY, /* VirtualQuantity */
    OVF_FIELDS,
};

struct ovf_item {
    char *fields[OVF_FIELDS]; /* NULL: not said */
    char *configuration;      /* ovf:configuration, blank-separated; NULL: every one */
    bool chosen;              /* for ovf.c to say */
};

/* <vmw:Config key value>, or with `extra` <vmw:ExtraConfig>: a line of the .vmx. */
struct ovf_config {
    char *key, *value;
    bool extra;
};

struct ovf_system {
    char *id, *name;
    char *os_type;  /* vmw:osType, e.g. "windows9Server64Guest" */
    char *hardware; /* VirtualSystemType, e.g. "vmx-13" */
    struct ovf_item *items;
    size_t n_items, items_cap;
    struct ovf_config *configs;
    size_t n_configs, configs_cap;
    bool has_hardware; /* a VirtualHardwareSection was there */
};

struct ovf_doc {
    struct ovf_system *systems;
    size_t n, cap;
    char *configuration; /* id of the default (or else the first) deployment option */
};

/* -EINVAL: no XML, no OVF, or a document type; -EFBIG: more of something than a real one has. */
int ovf_xml_parse(const char *text, size_t len, struct ovf_doc *ret_doc, struct err *err);
void ovf_doc_fini(struct ovf_doc *doc);

/* The value of a key, in any case; NULL: not said. */
const char *ovf_config_get(const struct ovf_system *system, bool extra, const char *key);

#endif
