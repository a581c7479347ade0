/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * MESSAGE_ID of what is told to the systemd journal, for `journalctl MESSAGE_ID=...` and for
 * whoever watches. Stable for ever: a message that changes its meaning gets a new id (made with
 * `systemd-id128 new`).
 */
#ifndef MESSAGE_IDS_H
#define MESSAGE_IDS_H

#define MESSAGE_STARTED           "f85c3187d40c40f0b1b20c0a6e72c51b" /* the daemon is ready */
#define MESSAGE_IN_SYNC           "39690618a21e4bb2a677b487fbbe928f" /* a VM is as it should be */
#define MESSAGE_HELD              "82ccfd4c6d3649ffa69377d30cd0e62e" /* a start was stopped */
#define MESSAGE_CHANGE_APPLIED    "988d92eb645346db81344be085ed053f" /* one option was changed */
#define MESSAGE_REWRITTEN         "bf6fbba550e64c88ac51699c00c40edd" /* a whole plan was carried out */
#define MESSAGE_CHANGE_FAILED     "51e2bbd56a094556858dba6b893e14a6" /* not changed as planned */
#define MESSAGE_REVERTED          "638ab2bc20fb42fd9f36e3aea4597e0a" /* after an error */
#define MESSAGE_START_REQUESTED   "937da7d06a0a455ba15745a2dd9e8039" /* our own start of a VM */
#define MESSAGE_STARTED_AGAIN     "70c5e0c552c841bea5bdef567b9eab31" /* ... was made */
#define MESSAGE_START_FAILED      "323fc9d61fb543f5bac5ad6c323ab221" /* that start failed */
#define MESSAGE_REFUSED           "dd1428f3619547ae9331b10577cdcc67" /* by a `refuse` policy */
#define MESSAGE_GO_DESPITE_ERROR  "6b97bd389651449189b3af2a4145ef93" /* started unchecked */
#define MESSAGE_NOT_OURS          "34274518f7a04960a5d371ca52f5550b" /* migration, backup, ... */
#define MESSAGE_STUCK_DELETION    "99d27066da8f4fc799623e7808955197" /* a pending delete stays */
#define MESSAGE_BAD_FINGERPRINT   "569201ac06f647038921a48316bd74c9" /* a file cannot be used */
#define MESSAGE_SETTINGS_RELOADED "0645740c283040fab5f2dbd02d93d3ef"
#define MESSAGE_API_UNREACHABLE   "9320e2662bc74d5ab1422800bc4fd6a9"
#define MESSAGE_RECOVERED         "7db8dcbd943a49c7b1edb90a2500c912" /* a crash was cleared up */
#define MESSAGE_JOURNAL_BROKEN    "bdfb0a41927e45d6ba88a247300b1a24" /* state_dir: cannot write */
#define MESSAGE_NOT_SETTLED       "d1e3c007fe3c4e898202be14abd5a2f6" /* ready before all was done */
#define MESSAGE_DRIFT             "b2850b2c2e6b4e158afd03f3ef69b49f" /* differs, but stays so */
#define MESSAGE_REFUSED_BY_GUARD  "1cf0b8b50cb343e5ac2865e0bbaed697" /* identity, template, ... */
#define MESSAGE_OTHERS_UNKNOWN    "ffc36f11d21b45f09899b766b04ff420" /* VMs of other nodes */
#define MESSAGE_ON_HOLD           "380fd9947b5448548447f5efe77458d9" /* by an administrator */
#define MESSAGE_RESUMED           "eca63578fc47461290ea7f8a000306b2" /* ... no more */

#endif
