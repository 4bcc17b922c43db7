package limits_test

import (
	"fmt"
	"time"

	"github.com/imapgate/imapgate/limits"
)

// No notices for a user whose program mistakes them for an error.
func ExampleClientLimits() {
	options := limits.DefaultOptions()
	options.LimitsFor = func(client limits.Client) limits.ClientLimits {
		own := client.Limits
		if client.User == "collector" { // fetchmail runs as this user
			own.ProgressInterval = 0
		}
		return own
	}
	limiter := limits.New(options)
	defer limiter.Close()

	everybody := limits.ClientLimits{ProgressInterval: 10 * time.Second}
	for _, user := range []string{"karen", "collector"} {
		own := options.LimitsFor(limits.Client{User: user, Limits: everybody})
		fmt.Println(user, own.ProgressInterval)
	}
	// Output:
	// karen 10s
	// collector 0s
}
