package limits

import (
	"net/netip"
	"reflect"
	"slices"

	"github.com/imapgate/imapgate/internal/fold"
)

// settings are the options in a form that is quick to use.
type settings struct {
	Options
	values    []int64        // of the declared limits
	exempt    []netip.Prefix // Exempt, without IPv4-in-IPv6 networks
	everybody *clientLimits  // the limits of clients for whom LimitsFor returns no others
	replaced  chan struct{}  // closed when other settings replace these
	guesses   GuessCluster   // nil if there is no Cluster, or it is no GuessCluster
}

func newSettings(o Options) *settings {
	o.Exempt = slices.Clone(o.Exempt)
	guesses, _ := o.Cluster.(GuessCluster)
	return &settings{
		Options: o, values: o.values(), exempt: unmapped(o.Exempt),
		everybody: &clientLimits{ClientLimits: o.clientLimits()},
		replaced:  make(chan struct{}), guesses: guesses,
	}
}

// unmapped makes IPv4 networks of IPv4-in-IPv6 ones, as the addresses of clients are IPv4 ones.
func unmapped(networks []netip.Prefix) []netip.Prefix {
	const prefixBits = 96 // of ::ffff:0:0/96
	all := slices.Clone(networks)
	for i, n := range all {
		if n.Addr().Is4In6() && n.Bits() >= prefixBits {
			all[i] = netip.PrefixFrom(n.Addr().Unmap(), n.Bits()-prefixBits)
		}
	}
	return all
}

func (s *settings) isExempt(addr netip.Addr) bool {
	return slices.ContainsFunc(
		s.exempt, func(network netip.Prefix) bool { return network.Contains(addr) },
	)
}

// value returns the limit's value; a time is in nanoseconds.
func (s *settings) value(l *limit) int64 { return s.values[l.at] }

// clientLimits are the limits of one client.
type clientLimits struct {
	ClientLimits
	exempt bool // from these and from all others
}

// values returns the value of each declared limit. A lookup by index is faster than one by name.
func (o *Options) values() []int64 {
	values := make([]int64, len(declared))
	for i, l := range declared {
		values[i] = l.field(o).Int()
	}
	return values
}

// clientLimits returns the limits that every client has by default.
func (o *Options) clientLimits() (limits ClientLimits) {
	from, to := reflect.ValueOf(o).Elem(), reflect.ValueOf(&limits).Elem()
	for i := range to.NumField() {
		to.Field(i).Set(from.FieldByName(to.Type().Field(i).Name))
	}
	return limits
}

// userKey returns what the user is counted by; "" if the name is empty.
func (o *Options) userKey(name string) string {
	switch {
	case name == "":
		return ""
	case o.UserKey != nil:
		return o.UserKey(name)
	default:
		return fold.Username(name)
	}
}

// ipKey returns what the address is counted by; the zero Prefix if it has no limit.
func (o *Options) ipKey(addr netip.Addr) netip.Prefix {
	switch {
	case !addr.IsValid():
		return netip.Prefix{}
	case o.IPKey != nil:
		return o.IPKey(addr).Masked()
	default:
		return network(addr)
	}
}
