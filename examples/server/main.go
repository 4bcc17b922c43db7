// Command server is an IMAP server whose mail is in memory, with the packages of imapgate in front
// of it and flags for all of their settings. It is there to try a mail client or a setting against,
// and to be read, in ../internal/mailserver. Run it with -h for the flags.
//
// Its backend is imapmemserver, which spells flags in lower case. That is as good as any (RFC 9051
// section 2.3.2), but mbsync does not know them then, and takes them away on its own side.
//
// A SEARCH for SMALLER n before LARGER or a date, such as SMALLER 1000 SINCE 1-Oct-2025, finds
// messages of any size, and so does SMALLER 0. go-imap forgets the size while it reads the command,
// so no backend can do better. The other order, SINCE 1-Oct-2025 SMALLER 1000, is right.
//
// While a client has not been told of another session's EXPUNGE, "*" stands for an earlier message
// than its last one: imapmemserver counts the messages that are left. Ranges of UIDs are right.
package main

import "github.com/imapgate/imapgate/examples/internal/mailserver"

func main() { mailserver.Main(mailserver.Extension{Name: "server"}) }
