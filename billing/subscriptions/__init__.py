"""Operations on subscriptions: Checkout, previews, plan changes, schedules, cancellation, trials and plan migrations."""
