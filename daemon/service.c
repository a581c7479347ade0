/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See service.h. The text of org.varlink.service is given by the Varlink specification. */
#include "service.h"

#include <string.h>

#include "base/str.h"
#include "core/wire.h"

#define SERVICE  "org.varlink.service"
#define PVE_HWID "io.pvehwid"

static const char service_text[] =
    "# The Varlink Service Interface is provided by every varlink service. It\n"
    "# describes the service and the interfaces it implements.\n"
    "interface org.varlink.service\n"
    "\n"
    "# Get a list of all the interfaces a service provides and information\n"
    "# about the implementation.\n"
    "method GetInfo() -> (\n"
    "  vendor: string,\n"
    "  product: string,\n"
    "  version: string,\n"
    "  url: string,\n"
    "  interfaces: []string\n"
    ")\n"
    "\n"
    "# Get the description of an interface that is implemented by this service.\n"
    "method GetInterfaceDescription(interface: string) -> (description: string)\n"
    "\n"
    "# The requested interface was not found.\n"
    "error InterfaceNotFound (interface: string)\n"
    "\n"
    "# The requested method was not found\n"
    "error MethodNotFound (method: string)\n"
    "\n"
    "# The interface defines the requested method, but the service does not\n"
    "# implement it.\n"
    "error MethodNotImplemented (method: string)\n"
    "\n"
    "# One of the passed parameters is invalid.\n"
    "error InvalidParameter (parameter: string)\n";

static const char pve_hwid_text[] =
#include "varlink_interface.h"
    ;

static void get_info(struct server_call *call, const struct server_settings *settings)
{
    struct wire_fields fields = {.object = server_call_parameters(call)};

    if (!wire_fields_done(&fields)) {
        server_call_bad(call, fields.bad);
        return;
    }
    server_call_reply(call, json_pack("{s:s, s:s, s:s, s:s, s:[s, s]}", "vendor", settings->vendor,
                                      "product", settings->product, "version", settings->version,
                                      "url", settings->url, "interfaces", SERVICE, PVE_HWID));
}

static void get_description(struct server_call *call)
{
    struct wire_fields fields = {.object = server_call_parameters(call)};
    const char *name = wire_get_string(&fields, "interface", WIRE_NEEDED);

    if (!wire_fields_done(&fields)) {
        server_call_bad(call, fields.bad);
    } else if (str_equal(name, SERVICE)) {
        server_call_reply(call, json_pack("{s:s}", "description", service_text));
    } else if (str_equal(name, PVE_HWID)) {
        server_call_reply(call, json_pack("{s:s}", "description", pve_hwid_text));
    } else {
        server_call_error(call, SERVICE ".InterfaceNotFound",
                          json_pack("{s:s}", "interface", name));
    }
}

bool service_answer(struct server_call *call, const struct server_settings *settings)
{
    const char *method = server_call_method(call);

    if (str_equal(method, SERVICE ".GetInfo")) {
        get_info(call, settings);
        return true;
    }
    if (str_equal(method, SERVICE ".GetInterfaceDescription")) {
        get_description(call);
        return true;
    }
    return false;
}

void service_not_found(struct server_call *call)
{
    const char *method = server_call_method(call);

    if (str_starts(method, PVE_HWID ".") || str_starts(method, SERVICE ".")) {
        server_call_error(call, SERVICE ".MethodNotFound", json_pack("{s:s}", "method", method));
        return;
    }
    server_call_error(
        call, SERVICE ".InterfaceNotFound",
        json_pack("{s:s%}", "interface", method, (size_t)(strrchr(method, '.') - method)));
}
