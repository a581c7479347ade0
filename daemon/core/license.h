/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Windows' words about its licence in ours, for both ways they are learnt (capture-windows.ps1,
 * slmgr). Channels: "Retail", "OEM", "Volume:MAK", "Volume:GVLK" (a client of KMS), else as Windows
 * names it. Statuses: "licensed", "notification", ...
 */
#ifndef CORE_LICENSE_H
#define CORE_LICENSE_H

#include "core/builder.h"

/* "OEM:DM" or "Volume:MAK" (Windows 8 and later), or else the channel in a description such as
 * "Windows(R) Operating System, VOLUME_KMSCLIENT channel". Both may be NULL. */
void license_channel(struct builder *b, const char *channel, const char *description);
/* LicenseStatus of SoftwareLicensingProduct; NULL: no such number. */
const char *license_status_name(long status);
/* The last five characters; what is longer is not kept, not even in part. */
void license_partial_key(struct builder *b, const char *key);

#endif
