// This file is copied beside go-imap's own client tests, with internal/stack, and makes their
// server the one that IMAPGATE_STACK names.
package imapclient_test

import (
	"os"

	"github.com/emersion/go-imap/v2/imapserver"
)

func newServer(options *imapserver.Options) Server {
	return NewServer(os.Getenv("IMAPGATE_STACK"), options)
}
