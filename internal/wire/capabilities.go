package wire

import (
	"slices"
	"strings"
)

// enabled notes the capabilities of an ENABLED response.
func (d *dialogue) enabled(caps []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if slices.Contains(caps, "IMAP4rev2") {
		d.rev2Enabled = true
	}
}

// capabilities returns the server's list as the client gets it.
func (d *dialogue) capabilities(caps []string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	config := &d.listener.guard.config
	if d.hidesIdle {
		d.rev2Only = slices.Contains(caps, "IMAP4rev2") && !slices.Contains(caps, "IMAP4rev1")
		caps = slices.DeleteFunc(caps, func(c string) bool { return strings.EqualFold(c, "IDLE") })
	}
	if !config.Terminates {
		switch {
		case slices.Contains(caps, "STARTTLS"):
			d.fail(errServerTLS)
		case d.encrypted && slices.Contains(caps, "LOGINDISABLED"):
			d.fail(errLoginDisabled)
		}
		return caps
	}
	if d.authenticated || d.encrypted {
		return caps
	}
	// In clear the server runs with InsecureAuth. Say what it would say without it.
	isAuth := func(c string) bool { return strings.HasPrefix(c, "AUTH=") }
	if config.StartTLS != nil {
		at := slices.IndexFunc(caps, isAuth)
		if at < 0 {
			at = len(caps)
		}
		caps = slices.Insert(caps, at, "STARTTLS")
	}
	if d.refusesLoginLocked() {
		caps = append(slices.DeleteFunc(caps, isAuth), "LOGINDISABLED")
	}
	return caps
}
