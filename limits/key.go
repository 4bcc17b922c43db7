package limits

import (
	"net"
	"net/netip"
)

// ipOf returns the IP address in addr, unmapped and without a zone, or the zero Addr if there is
// none.
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

// network returns the IPv4 address or the /64 of the IPv6 address: what one customer is usually
// given.
func network(addr netip.Addr) netip.Prefix {
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	prefix, _ := addr.Prefix(bits) // no address is shorter
	return prefix
}
