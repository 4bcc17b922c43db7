package limits_test

import (
	"fmt"
	"net/netip"

	"github.com/imapgate/imapgate/limits"
)

// A webmail host, which connects for all users, and a table by user of what is different. All else
// has the limits of everybody.
func ExampleOptions_limitsFor() {
	webmail := netip.MustParsePrefix("192.0.2.0/24")
	table := map[string]func(own *limits.ClientLimits){
		"archive": func(own *limits.ClientLimits) { own.MaxLoginsPerUser = 0 }, // no limit
		"scanner": func(own *limits.ClientLimits) { own.MaxLoginsPerUser, own.MaxFetchesPerUser = 2, 1 },
	}
	options := limits.DefaultOptions()
	options.LimitsFor = func(client limits.Client) limits.ClientLimits {
		own := client.Limits
		if webmail.Contains(client.Addr) {
			own.MaxConnectionsPerIP, own.MaxLoginsPerIP, own.MaxLoginChecksPerIP = 0, 0, 0
			own.MaxGuessDelay = 0 // or one user's wrong passwords delay the others
		}
		if change, ok := table[client.User]; ok {
			change(&own)
		}
		return own
	}
	limiter := limits.New(options)
	defer limiter.Close()

	everybody := limits.ClientLimits{
		MaxLoginsPerUser: options.MaxLoginsPerUser, MaxLoginsPerIP: options.MaxLoginsPerIP,
	}
	for _, client := range []limits.Client{
		{User: "archive"}, {User: "scanner"}, {User: "karen"},
		{User: "karen", Addr: netip.MustParseAddr("192.0.2.1")},
	} {
		client.Limits = everybody
		own := options.LimitsFor(client)
		fmt.Println(client.User, own.MaxLoginsPerUser, own.MaxLoginsPerIP)
	}
	// Output:
	// archive 0 100
	// scanner 2 100
	// karen 20 100
	// karen 20 0
}
