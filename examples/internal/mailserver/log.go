package mailserver

import (
	"fmt"
	"log/slog"
)

// maxLoggedMessage is how many characters of a library's message are logged. go-imap quotes what it
// cannot read, of which a client can send 50 KB. The stack of a panic is shorter.
const maxLoggedMessage = 8000

// printer logs what a library prints: panics, failed handshakes, connections that broke off. The
// handler escapes it.
type printer struct {
	logger  *slog.Logger
	library string
}

func (p printer) Printf(format string, args ...any) {
	p.logger.Warn(p.library, "message", cut(fmt.Sprintf(format, args...), maxLoggedMessage))
}
