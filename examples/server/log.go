package main

import (
	"fmt"
	"log/slog"
)

// serverLog passes on what go-imap logs: panics, failed handshakes, connections that broke off. The handler escapes it.
type serverLog struct{ logger *slog.Logger }

func (l serverLog) Printf(format string, args ...any) {
	l.logger.Warn("go-imap", "message", fmt.Sprintf(format, args...))
}
