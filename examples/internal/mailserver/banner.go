package mailserver

import (
	"fmt"
	"io"
	"net"
	"strings"
)

// printBanner says where the server is and how to try it.
func printBanner(w io.Writer, s *settings, all services) {
	fmt.Fprint(w, "The imapgate example server is running. Its mail is in memory only.\n\n")
	for _, service := range all {
		fmt.Fprintf(w, "  %-6s %-16s %s\n", service.kind, service.listener.Addr(), service.about(s))
	}
	names := make([]string, len(s.accounts))
	for i, a := range s.accounts {
		names[i] = a.String()
	}
	fmt.Fprintf(w, "  %-6s %s\n\n", "users", strings.Join(names, ", "))
	fmt.Fprintf(
		w, "Try it from another terminal:\n\n  %s\n\nCtrl-C ends it.\n", curl(s.accounts[0], all[0]),
	)
}

func (s *service) about(settings *settings) string {
	switch {
	case s.kind == statusService:
		return fmt.Sprintf("http://%s/ shows who holds what", s.listener.Addr())
	case s.kind == tlsService && settings.tlsCert == "":
		return "self-signed certificate"
	case s.kind == tlsService:
		return "certificate of " + settings.tlsCert
	case s.loopback:
		return "LOGIN allowed because it is loopback; STARTTLS offered"
	default:
		return "LOGIN only after STARTTLS, because it is not loopback"
	}
}

// curl returns a shell command that reads the first message.
func curl(a account, s *service) string {
	command, scheme := "curl", "imap"
	switch {
	case s.kind == tlsService:
		command, scheme = "curl --insecure", "imaps"
	case !s.loopback:
		command = "curl --insecure --ssl-reqd"
	}
	return fmt.Sprintf(
		"%s --user %s '%s://%s/INBOX;MAILINDEX=1'",
		command,
		shellWord(a.String()),
		scheme,
		reachable(s.listener.Addr()),
	)
}

// reachable returns where a client on this machine finds the address.
func reachable(addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return addr.String()
	}
	if ip := net.ParseIP(host); ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

// shellWord returns the text as one word of a shell command.
func shellWord(text string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' ||
			strings.ContainsRune(":@._-", r)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return !plain(r) }) {
		return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
	}
	return text
}
