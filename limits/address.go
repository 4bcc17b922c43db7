package limits

import (
	"net"
	"net/netip"
)

// addrPort returns the IP address and the port of addr. An IPv4-in-IPv6 address becomes IPv4, and a
// zone is dropped. The zero AddrPort means that there is no address.
func addrPort(addr net.Addr) netip.AddrPort {
	if addr == nil {
		return netip.AddrPort{}
	}
	text := addr.String()
	full, err := netip.ParseAddrPort(text)
	if tcp, ok := addr.(*net.TCPAddr); ok {
		full = tcp.AddrPort()
	} else if err != nil {
		ip, _ := netip.ParseAddr(text)
		full = netip.AddrPortFrom(ip, 0)
	}
	return netip.AddrPortFrom(full.Addr().Unmap().WithZone(""), full.Port())
}

// network returns the IPv4 address, or the /64 of the IPv6 address. That is what one customer
// usually gets.
func network(addr netip.Addr) netip.Prefix {
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	prefix, _ := addr.Prefix(bits) // cannot fail: an address has at least as many bits
	return prefix
}
