package main

import (
	"fmt"
	"log/slog"
)

// printer logs what a library prints: panics, failed handshakes, connections that broke off. The handler escapes it.
type printer struct {
	logger  *slog.Logger
	library string
}

func (p printer) Printf(format string, args ...any) {
	p.logger.Warn(p.library, "message", fmt.Sprintf(format, args...))
}
