package limits_test

import (
	"fmt"

	"github.com/imapgate/imapgate/limits"
)

// A table by user. Whoever is not in it has the limits of everybody.
func ExampleOptions_limitsFor() {
	table := map[string]limits.ClientLimits{
		"webmail": {}, // no limit: it logs in for all users
		"scanner": {MaxLoginsPerUser: 2, MaxFetchesPerUser: 1, MaxFailedLogins: 3},
	}
	options := limits.DefaultOptions()
	options.LimitsFor = func(client limits.Client) limits.ClientLimits {
		if own, ok := table[client.User]; ok {
			return own
		}
		return client.Limits
	}
	limiter := limits.New(options)
	defer limiter.Close()

	everybody := limits.ClientLimits{MaxLoginsPerUser: options.MaxLoginsPerUser}
	for _, user := range []string{"webmail", "scanner", "karen"} {
		own := options.LimitsFor(limits.Client{User: user, Limits: everybody})
		fmt.Println(user, own.MaxLoginsPerUser)
	}
	// Output:
	// webmail 0
	// scanner 2
	// karen 20
}
