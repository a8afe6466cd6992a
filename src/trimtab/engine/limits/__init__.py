"""How much, how fast and how many at once: fair queues, rates, budgets. Who somebody is, ``access`` knows."""

from trimtab.engine.limits.alerts import Alerts, BudgetAlert, HMACSigner, Webhook
from trimtab.engine.limits.gate import Gate
from trimtab.engine.limits.purse import Purse, config_budget
from trimtab.engine.limits.rates import Rates

__all__ = ["Alerts", "BudgetAlert", "Gate", "HMACSigner", "Purse", "Rates", "Webhook", "config_budget"]
