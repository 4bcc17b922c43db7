package limits_test

import (
	"fmt"

	"github.com/imapgate/imapgate/limits"
)

// A table of the limits that differ by user. All other limits and users have the limits of the
// options.
func ExampleOptions_limitsFor() {
	table := map[string]func(own *limits.ClientLimits){
		"archive": func(own *limits.ClientLimits) { own.MaxLoginsPerUser = 0 }, // no limit
		"scanner": func(own *limits.ClientLimits) { own.MaxLoginsPerUser, own.MaxFetchesPerUser = 2, 1 },
	}
	options := limits.DefaultOptions()
	options.LimitsFor = func(client limits.Client) limits.ClientLimits {
		own := client.Limits
		if change, ok := table[client.User]; ok {
			change(&own)
		}
		return own
	}
	limiter := limits.New(options)
	defer limiter.Close()

	everybody := limits.ClientLimits{MaxLoginsPerUser: options.MaxLoginsPerUser}
	for _, user := range []string{"archive", "scanner", "karen"} {
		own := options.LimitsFor(limits.Client{User: user, Limits: everybody})
		fmt.Println(user, own.MaxLoginsPerUser)
	}
	// Output:
	// archive 0
	// scanner 2
	// karen 20
}
