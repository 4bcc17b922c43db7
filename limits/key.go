package limits

import (
	"net"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"
)

// foldUser returns the same string for all names that differ only in case or in space around them.
func foldUser(name string) string {
	name = strings.TrimSpace(name)
	if !utf8.ValidString(name) {
		return foldASCII(name)
	}
	// The folded string never shares memory with name, which may be a piece of a large buffer.
	return strings.Clone(strings.Map(foldRune, name))
}

// foldASCII is for names in some other encoding, whose bytes beyond ASCII stay as they are.
func foldASCII(name string) string {
	folded := []byte(name)
	for i, c := range folded {
		if 'A' <= c && c <= 'Z' {
			folded[i] = c + 'a' - 'A'
		}
	}
	return string(folded)
}

// foldRune returns one rune for all those that are equal under Unicode simple case folding: of "K", "k" and the Kelvin sign, "k".
func foldRune(r rune) rune {
	least := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		least = min(least, next)
	}
	return unicode.ToLower(least)
}

// ipOf returns the IP address in addr, unmapped and without a zone, or the zero Addr if there is none.
func ipOf(addr net.Addr) netip.Addr {
	if addr == nil {
		return netip.Addr{}
	}
	if tcp, ok := addr.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap().WithZone("")
	}
	text := addr.String()
	if host, err := netip.ParseAddrPort(text); err == nil {
		return host.Addr().Unmap().WithZone("")
	}
	ip, _ := netip.ParseAddr(text)
	return ip.Unmap().WithZone("")
}

// network returns the IPv4 address or the /64 of the IPv6 address: what one customer is usually given.
func network(addr netip.Addr) netip.Prefix {
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	prefix, _ := addr.Prefix(bits) // no address is shorter
	return prefix
}
